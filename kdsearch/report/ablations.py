"""What leaving a term out showed, in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.report import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping


def ablation_text(ablation: Mapping[str, Any]) -> str:
    """Say what a term adds on dev, with its bounds.

    Args:
        ablation: As in `summary.json`.
    """
    size, term = ablation["size"], ablation["term"]
    if ablation["skipped"] is not None:
        return f"{term} was not left out: {ablation['skipped']}"
    lower, upper = ablation["lower_bound"], ablation["upper_bound"]
    seeds = ablation["seeds"]
    over = f" over {seeds} seeds" if seeds > 1 else ""
    return (
        f"{size} without {term}: dev {numbers.score(ablation['score_without'])}, with it "
        f"{numbers.score(ablation['score'])}{over}; it adds "
        f"{numbers.points(ablation['difference'])} points, bounds {numbers.points(lower)} to "
        f"{numbers.points(upper)}: {_verdict(lower, upper)}"
    )


def _verdict(lower: float, upper: float) -> str:
    if lower > 0.0:
        return "it helps"
    return "it harms" if upper < 0.0 else "undecided"
