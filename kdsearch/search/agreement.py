"""Whether a journal's decisions follow from its results under the rules at hand."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmOpened,
    ConfirmTested,
    Event,
    ModelAudited,
    Record,
    RunFinished,
    RunStarted,
    SizeDecided,
    TrialFailed,
)
from kdsearch.search.ablation import ablated_trials

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


AUDIT = "-audit"
"""Ends the name of an audit's job."""


def replay(
    records: Sequence[Record], present: int, apply: Callable[[Event], list[Event]]
) -> list[Event]:
    """Take in a journal, and check its decisions from where the present plan begins.

    Args:
        records: The whole journal.
        present: The place from which on its decisions were made under the present plan.
        apply: Takes in an event and returns the decisions that follow from it.

    Returns:
        Decisions that follow and are not in the journal.

    Raises:
        RunError: If a decision of the present plan does not follow.
    """
    due: deque[Event] = deque()
    ablated = ablated_trials(records)
    for place, record in enumerate(records):
        if record.event.trial in ablated:
            continue
        if isinstance(record.event, SizeDecided) or first_opening(record.event):
            if place >= present:
                check(record, due.popleft() if due else None)
        elif place >= present or not isinstance(record.event, ConfirmTested | ConfirmOpened):
            due.extend(apply(record.event))
    return list(due)


def effective(records: Sequence[Record], retried: Collection[str] = ()) -> list[Record]:
    """Return a journal without the failures of jobs that were, or are to be, tried again.

    Args:
        records: The whole journal.
        retried: Trials and audits that are to be tried again now.
    """
    again = set(retried)
    kept: list[Record] = []
    for record in reversed(records):
        if isinstance(record.event, RunStarted):
            again |= set(record.event.retried)
        if failed_job(record.event) not in again:
            kept.append(record)
    return kept[::-1]


def failed_job(event: Event) -> str | None:
    """Return the job that an event says has failed: a trial, or `TRIAL-audit`; None of others."""
    if isinstance(event, TrialFailed):
        return event.trial
    if isinstance(event, ModelAudited) and event.error:
        return f"{event.trial or 'teacher'}{AUDIT}"
    return None


def trials_among(retried: Sequence[str]) -> bool:
    """Whether trials are among what is tried again, so that decisions are made anew."""
    return any(not name.endswith(AUDIT) for name in retried)


def first_opening(event: Event) -> bool:
    """Whether confirm was opened by the search itself; items are added from outside of it."""
    return isinstance(event, ConfirmOpened) and event.look == 1


def check(record: Record, expected: Event | None) -> None:
    """Compare a journalled decision with the one that follows from what stands before it.

    Openings that do not say what they spend are of an older version, with shares of its own.

    Raises:
        RunError: If they differ in more than their wording.
    """
    found = record.event
    known = isinstance(found, ConfirmOpened) and found.alpha is not None
    if isinstance(found, ConfirmOpened) and isinstance(expected, ConfirmOpened) and not known:
        found = replace(found, alpha=expected.alpha, alphas=expected.alphas)
    if expected is None or _unworded(found) != _unworded(expected):
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
            if terms is not None and (now != terms or trials_among(record.event.retried)):
                position = place
            terms = now
    return position


def has_ended(records: Sequence[Record]) -> bool:
    """Whether a run has its answer, and was not begun anew since."""
    turns = [record.event for record in records]
    turns = [event for event in turns if isinstance(event, RunStarted | RunFinished)]
    return bool(turns) and isinstance(turns[-1], RunFinished)


def plan_changes(records: Sequence[Record], plan: Mapping[str, Any]) -> bool:
    """Whether a plan decides otherwise than the last one of a journal."""
    plans = [record.event.plan for record in records if isinstance(record.event, RunStarted)]
    stored = json.loads(json.dumps(plan))  # as the journal will hold it: lists, not tuples
    return bool(plans) and _terms(json.loads(json.dumps(plans[-1]))) != _terms(stored)


def more_ablations(records: Sequence[Record], plan: Mapping[str, Any]) -> bool:
    """Whether a plan ablates a term that no earlier one of a journal did."""
    plans = [record.event.plan for record in records if isinstance(record.event, RunStarted)]
    known = {term for earlier in plans for term in earlier.get("ablate", ())}
    return bool(plans) and not known.issuperset(plan.get("ablate", ()))


def _terms(plan: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a plan decisions depend on."""
    sizes = [size["size"] for size in plan.get("sizes", [])]
    named = ("strategy", "seed", "configurations", "splits")
    match = {"seeds": 1, "reserve": 0.0, "family": None, **plan.get("match", {})}
    flags = bool(plan.get("futility")), bool(plan.get("probe_below"))
    return (sizes, match, *flags, *(plan.get(name) for name in named))


def _unworded(decision: Event) -> Event:
    return replace(decision, reason="") if isinstance(decision, SizeDecided) else decision


def _described(decision: Event | None) -> str:
    if isinstance(decision, SizeDecided):
        return f"{decision.size} {decision.verdict} on {decision.decided_on}"
    if isinstance(decision, ConfirmOpened):
        return f"confirm opened for {', '.join(decision.sizes)}"
    return "no decision"
