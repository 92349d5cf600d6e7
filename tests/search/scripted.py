"""A driver of the policy: scripted results, any number of slots, any order of arrival."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

from kdsearch.events import (
    ConfirmOpened,
    Event,
    SizeDecided,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStopped,
)
from kdsearch.search.confirm import confirm_event
from kdsearch.search.rules import FINISHED, WAIT, Confirm, Rules, SizeCost, Train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.search.policy import Policy

ITEMS = 1000
TEACHER = 0.9
SIZES = tuple(SizeCost(name, 1.6**power) for power, name in enumerate("ABCDEFG"))
EVEN = tuple(SizeCost(name, 1.0, 1000 * 2**power) for power, name in enumerate("ABCDEFG"))
"""A ladder whose sizes cost the same to train, so that the search begins in its middle."""

RULES = Rules(margin=0.03, dev_items=ITEMS, confirm_items=2000, configurations=3)

Script = dict[tuple[str, int | None], float | None]
"""By size and configuration: the difference from the teacher, or None for a failure."""


def ending(job: Train, difference: float | None) -> Event:
    place = {"size": job.size, "trial": job.trial, "index": job.index, "seed": job.seed}
    if difference is None:
        return TrialFailed(**place, error="ValueError: broken")  # type: ignore[arg-type]  # plain keyword values
    only = 40 + round(difference * ITEMS), 40
    return TrialFinished(
        **place,  # type: ignore[arg-type]  # plain keyword values
        config={},
        score=TEACHER + difference,
        student_only=only[0] if only[0] >= 0 else 0,
        teacher_only=only[1] if only[0] >= 0 else 40 - only[0],
        items=ITEMS,
        flops={},
    )


def confirm_answers(difference: float, items: int = 2000) -> tuple[list[float], list[float]]:
    right = round(items * TEACHER)
    own = right + round(items * difference)
    return [1.0] * own + [0.0] * (items - own), [1.0] * right + [0.0] * (items - right)


def reports(job: Train, difference: float | None) -> list[Event]:
    """What a trial says on its way: a curve that rises to its end."""
    if difference is None or job.index is None:
        return []
    told: list[Event] = []
    for step in range(1, 10):
        now = difference - 0.3 * math.exp(-step / 2)
        told.append(
            TrialProgress(
                size=job.size,
                trial=job.trial,
                step=step,
                total_steps=10,
                score=TEACHER + now,
                student_only=30,
                teacher_only=30 - round(now * ITEMS),
                items=ITEMS,
            )
        )
    return told


def drive(
    policy: Policy,
    script: Script,
    confirm: Mapping[str, float],
    *,
    slots: int = 1,
    random: Random | None = None,
    log: list[Event] | None = None,
    jobs: int = 10_000,
    reporting: bool = False,
) -> list[Event]:
    """Run a search as a cluster would; returns the journal."""
    random, log = random or Random(0), [] if log is None else log
    running: dict[Train, list[Event]] = {}

    def tell(event: Event) -> None:
        log.extend([event, *policy.apply(event)])

    while jobs:
        for trial in list(running):
            if reason := policy.stop_reason(trial.trial):
                del running[trial]
                place: dict[str, Any] = {"size": trial.size, "trial": trial.trial}
                tell(TrialStopped(**place, index=trial.index, seed=0, reason=reason))
        job = policy.next_job() if len(running) < slots else WAIT
        if job is FINISHED:
            break
        if isinstance(job, Train):
            difference = script.get((job.size, job.index), -0.2)
            ways = reports(job, difference) if reporting else []
            running[job] = [*ways, ending(job, difference)]
        elif isinstance(job, Confirm):
            tell(confirm_event(policy, job.size, *confirm_answers(confirm[job.size])))
        else:
            assert running, "it waits for nothing"
            told = random.choice(list(running))
            tell(running[told].pop(0))
            jobs -= 1
            if not running[told]:
                del running[told]
    return log


def decisions(log: Sequence[Event]) -> list[Event]:
    return [event for event in log if isinstance(event, SizeDecided | ConfirmOpened)]


def ladder(*differences: float) -> Script:
    return {
        (size.name, index): difference
        for size, difference in zip(SIZES, differences, strict=True)
        for index in range(3)
    }


RISING = ladder(-0.3, -0.2, -0.1, -0.04, -0.01, 0.0, 0.0)
LEVEL = {size.name: 0.0 for size in SIZES}
