"""A policy from the plan that opens a journal, to replay what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmChecked,
    ConfirmOpened,
    ConfirmTested,
    Record,
    RunStarted,
    TeacherReady,
    TrialStarted,
)
from kdsearch.search.policy import Policy
from kdsearch.search.rules import Rules, SizeCost
from kdsearch.spec.models import Strategy
from kdsearch.spec.space import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence


def policy_of(records: Sequence[Record]) -> Policy:
    """Return the fresh policy that a journal was written by; `restore` replays it.

    Raises:
        RunError: If the journal does not say what the run planned.
    """
    events = [record.event for record in records]
    plan = next((event.plan for event in events if isinstance(event, RunStarted)), None)
    if plan is None:
        raise RunError("the journal does not say what the run planned: it has no run_started")
    sound = all(
        event.informative and event.sensitive for event in events if isinstance(event, TeacherReady)
    )
    tested = any(isinstance(event, ConfirmTested) for event in events)
    reliable = all(event.reliable for event in events if isinstance(event, ConfirmChecked))
    trained = any(isinstance(event, TrialStarted) for event in events)
    opened = next((event for event in events if isinstance(event, ConfirmOpened)), None)
    sizes = [
        SizeCost(size["size"], size["trial_flops"], size["parameters"]) for size in plan["sizes"]
    ]
    rules = Rules(
        margin=plan["match"].get("margin"),
        retain=plan["match"].get("retain"),
        confidence=plan["match"]["confidence"],
        dev_items=plan["splits"]["dev"],
        confirm_items=plan["splits"]["confirm"],
        configurations=len(plan["configurations"]),
        strategy=Strategy(plan["strategy"]),
        seed=plan["seed"],
        seeds=plan["match"].get("seeds", 1),
        reserve=plan["match"].get("reserve", 0.0),
        available=plan.get("alpha_available"),
        probe_below=plan.get("probe_below", False),
        sequential=plan.get("sampler") == Sampler.TPE,
        futility=plan.get("futility", False),
        force=(trained and not sound) or (tested and not reliable),
    )
    return Policy(sizes, rules, opened.fingerprint if opened else "")
