"""Whether a journal's decisions follow from its results under the rules at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.events import ConfirmOpened, Event, Record, RunStarted, SizeDecided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def check(record: Record, expected: Event | None) -> None:
    """Compare a journalled decision with the one that follows from what stands before it.

    Raises:
        RunError: If they differ in more than their wording.
    """
    if expected is None or _unworded(record.event) != _unworded(expected):
        raise RunError(
            f"the journal's decision {record.sequence} ({_described(record.event)}) does not "
            f"follow from its results, which give {_described(expected)}",
            fix="the journal was changed, or was written under other rules: start a new run",
        )


def first_under_present_plan(records: Sequence[Record]) -> int:
    """Return the position from which on a journal was written under its last plan."""
    terms: tuple[Any, ...] | None = None
    position = 0
    for place, record in enumerate(records):
        if isinstance(record.event, RunStarted):
            now = _terms(record.event.plan)
            if terms is not None and now != terms:
                position = place
            terms = now
    return position


def _terms(plan: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a plan decisions depend on."""
    sizes = [size["size"] for size in plan.get("sizes", [])]
    named = ("match", "strategy", "seed", "configurations", "splits")
    return (sizes, bool(plan.get("futility")), *(plan.get(name) for name in named))


def _unworded(decision: Event) -> Event:
    return replace(decision, reason="") if isinstance(decision, SizeDecided) else decision


def _described(decision: Event | None) -> str:
    if isinstance(decision, SizeDecided):
        return f"{decision.size} {decision.verdict} on {decision.decided_on}"
    if isinstance(decision, ConfirmOpened):
        return f"confirm opened for {', '.join(decision.sizes)}"
    return "no decision"
