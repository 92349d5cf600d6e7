"""Exports a student as a plain model folder with a card that says what is known of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdsearch.spec.record import record_of, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.spec.models import SearchSpec

VERDICTS = {
    "match": "{it} matches its teacher{over}.",
    "no_match": "{it} does not match its teacher{over}.",
    "undecided": "Whether {it} matches its teacher{over} is undecided.",
}
"""By verdict; what matches is this checkpoint, or its recipe over several seeds."""


def export_student(
    trained: Path,
    destination: Path,
    size: Mapping[str, Any],
    summary: Mapping[str, Any],
    spec: SearchSpec,
) -> None:
    """Copy a trained student, write its model card and how it is to be asked.

    Args:
        trained: The trial's `save_pretrained` folder.
        destination: Written anew.
        size: The size's entry of the summary.
        summary: The run's summary.
        spec: The run's.
    """
    if destination.exists():
        shutil.rmtree(destination)
    shutil.copytree(trained, destination)
    (destination / "README.md").write_text(model_card(size, summary), encoding="utf8")
    write_record(destination, record_of(spec, size["size"]))


def model_card(size: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return a model card in Markdown."""
    confirm, match, teacher = size["confirm"], summary["match"], summary["teacher"]
    claim = (
        f"at least {match['retain']:g} of the teacher's {match['metric']}"
        if match.get("retain")
        else f"a {match['metric']} less than {match['margin']:g} below the teacher's"
    )
    confidence = f"{100 * match['confidence']:g} %"
    who = "students of its recipe" if confirm["seeds"] > 1 else "this student"
    whole = teacher["parameters"]
    counted = "" if whole is None else f" ({whole:,} parameters)"
    return f"""---
library_name: transformers
tags: [kdsearch, knowledge-distillation]
---
# {summary["name"]} {size["size"]}

A student of {size["parameters"]:,} parameters, distilled from {teacher["name"]}\
{counted}. {_verdict(size)}

| | score | {"units" if confirm["in_units"] else "items"} |
|---|---:|---:|
| {who} | {confirm["score"]:.4f} | {confirm["n"]} |
| teacher | {teacher["confirm"]["score"]:.4f} | {teacher["confirm"]["n"]} |

The claim tested was {claim}, on items that neither training nor selection saw. Difference \
{confirm["difference"]:+.4f}, one-sided bounds {confirm["lower_bound"]:+.4f} and \
{confirm["upper_bound"]:+.4f}, simultaneous over the tested sizes at {confidence}.

Trained in trial `{size["best_trial"]}`.
"""


def _verdict(size: Mapping[str, Any]) -> str:
    seeds = size["confirm"]["seeds"]
    it, over = ("its recipe", f" over {seeds} seeds") if seeds > 1 else ("it", "")
    told = VERDICTS[size["verdict"]].format(it=it, over=over)
    proof = " That test was exploratory and proves nothing." if size["exploratory"] else ""
    return told[0].upper() + told[1:] + proof
