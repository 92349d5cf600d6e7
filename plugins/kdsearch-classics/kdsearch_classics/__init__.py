"""Losses of related work: `tinybert`, `patient_kd` and `minilm`, as their papers have them.

Nothing here imports torch; the terms themselves are imported when they are built.
"""

from __future__ import annotations

from kdsearch.plugin import API, Loss, NamedLoss, Signal, hookimpl
from kdsearch_classics.options import MiniLmConfig, PatientKdConfig, TinyBertConfig

KDSEARCH_API = API


@hookimpl
def kdsearch_losses() -> list[Loss]:
    """Offer the losses."""
    home = "kdsearch_classics.terms"
    states = frozenset({Signal.HIDDEN_STATES})
    scores = frozenset({Signal.ATTENTION_SCORES})
    vectors = frozenset({Signal.ATTENTION_RELATIONS})
    return [
        NamedLoss("tinybert", "1", TinyBertConfig, states | scores, f"{home}:TinyBert"),
        NamedLoss("patient_kd", "1", PatientKdConfig, states, f"{home}:PatientKd"),
        NamedLoss("minilm", "1", MiniLmConfig, scores | vectors, f"{home}:MiniLm"),
    ]
