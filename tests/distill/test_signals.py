"""Signals of one batch, and of a kind that is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill import signals
from kdsearch.distill.passes import Pass, collate, forward
from kdsearch.distill.signals import Axis, Told, teacher_signals
from kdsearch.plugin import LayerSignal, Signal, SignalRequest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAIRS = LayerSignal(Signal.ATTENTION_RELATIONS, "decoder", 1)


def similarities(said: Pass, stack: str, layer: int) -> Told:
    """Return products of an answer's states: a value for each pair of its tokens."""
    states = said.states[stack][layer]
    return Told(torch.einsum("bqw,bkw->bqk", states, states)[..., None], (Axis.TARGET,) * 2)


def test_signals_of_pairs_of_tokens_are_stored_and_gathered(
    tiny: Any, rows: Any, stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(signals.LAYER_KINDS, Signal.ATTENTION_RELATIONS, similarities)
    model = tiny(12, seed=5).model.eval()
    states = LayerSignal(Signal.HIDDEN_STATES, "decoder", 1)
    request = SignalRequest(layers=(states, PAIRS))
    store = stored(tmp_path, model, rows, request)
    taken = [3, 50, 99, 0]
    gathered = store.gather(store.rows_of([rows.keys()[row] for row in taken]))
    found = gathered["attention_relations"]["decoder"][1]
    sources, targets = ([text[row] for row in taken] for text in (rows.sources, rows.targets))
    batch = collate(sources, targets, 0, causal=False)
    expected = similarities(forward(model, batch, states=True), "decoder", 1).values
    real = batch["labels"] != -100
    both = real[:, :, None] & real[:, None, :]
    torch.testing.assert_close(found[both], expected[both], atol=1e-5, rtol=1e-5)
    assert not found[~both].any()


def test_all_logits_kept_are_the_whole_vocabulary(tiny: Any) -> None:
    model = tiny(12).model.eval()
    batch = collate([[5, 6, 1]], [[7, 1]], 0, causal=False)
    whole = teacher_signals(model, batch, SignalRequest(True))
    kept = teacher_signals(model, batch, SignalRequest(True, (1.0,), top_k=259))
    assert torch.equal(kept["top_logits"].values, whole["top_logits"].values)
    assert kept["top_logits"].values.dtype == torch.float32
