from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdsearch.events import (
    ConfirmTested,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from kdsearch.search.cost import Ledger, forward_flops, grid_flops, training_flops


def place(trial: str) -> dict[str, Any]:
    return {"size": trial[0], "trial": trial}


def finished(trial: str, training: float) -> TrialFinished:
    return TrialFinished(
        **place(trial),
        index=0,
        seed=0,
        config={},
        score=0.5,
        student_only=0,
        teacher_only=0,
        items=9,
        flops={"training": training, "evaluation": 1.0},
    )


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({"A": 100.0, "B": 200.0}, grid_flops([100.0, 200.0], 2))


def test_rules_of_thumb() -> None:
    assert (training_flops(10, 5), forward_flops(10, 5)) == (300.0, 100.0)
    assert grid_flops([1.0, 2.0], 3) == 12.0


def test_the_whole_grid_is_one_whatever_trials_report(ledger: Ledger) -> None:
    for size in "AB":
        for trial in ("-baseline-s0", "-c0-s0", "-c1-s0"):
            ledger.apply(finished(size + trial, 90.0))
    assert ledger.totals().share_of_grid == pytest.approx(1.0)
    assert ledger.totals().training == pytest.approx(540.0)


def test_an_ended_trial_counts_for_the_steps_it_did(ledger: Ledger) -> None:
    ledger.apply(TrialProgress(**place("B-c0-s0"), step=30, total_steps=100))
    ledger.apply(TrialStopped(**place("B-c0-s0"), index=0, seed=0, reason="futile", step=30))
    ledger.apply(
        TrialFailed(**place("A-c0-s0"), index=0, seed=0, error="x", flops={"training": 25})
    )
    totals = ledger.totals()
    assert totals.share_of_grid == pytest.approx((200 * 0.3 + 25) / 900)
    assert totals.training == pytest.approx(85.0)


def test_a_trial_that_stopped_early_counts_for_the_steps_it_did(ledger: Ledger) -> None:
    ledger.apply(replace(finished("A-c0-s0", 40.0), step=40, total_steps=100, kept_step=20))
    assert ledger.totals().share_of_grid == pytest.approx(40 / 900)


def test_a_running_trial_counts_and_a_resumed_one_counts_once(ledger: Ledger) -> None:
    ledger.apply(TrialStarted(**place("A-c0-s0"), index=0, seed=0, config={}))
    assert ledger.totals().training == 0.0
    ledger.apply(TrialProgress(**place("A-c0-s0"), step=50, total_steps=100))
    assert ledger.totals().training == pytest.approx(50.0)
    ledger.apply(TrialStopped(**place("A-c0-s0"), index=0, seed=0, reason="interrupted", step=50))
    ledger.apply(finished("A-c0-s0", 100.0))
    assert ledger.totals().training == pytest.approx(100.0)


def test_teacher_and_evaluation_stand_apart(ledger: Ledger) -> None:
    flops = {"fine_tune": 7.0, "signals": 5.0, "evaluation": 3.0}
    ready = TeacherReady(
        model="t", parameters=1, score=0.5, items=9, chance={}, informative=True, flops=flops
    )
    numbers: dict[str, Any] = dict.fromkeys(
        ("difference", "lower_bound", "upper_bound", "p_value"), 0.0
    )
    scores: dict[str, Any] = dict.fromkeys(("student_score", "teacher_score"), 0.5)
    counts: dict[str, Any] = dict.fromkeys(("student_only", "teacher_only", "items"), 9)
    tested = ConfirmTested(
        size="A", **counts, **scores, **numbers, verdict="match", flops={"evaluation": 4.0}
    )
    for event in (ready, tested, finished("A-c0-s0", 90.0)):
        ledger.apply(event)
    assert ledger.totals()[:3] == (90.0, 12.0, 8.0)
