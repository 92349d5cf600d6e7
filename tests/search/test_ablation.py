"""Which trials ablate a term, and what their comparison says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.events import (
    AblationSkipped,
    Record,
    RunStarted,
    TrialFailed,
    TrialFinished,
    TrialStarted,
)
from kdsearch.search.ablation import Ablations, Comparison, ablated_trials, without_term
from kdsearch.search.agreement import more_ablations
from kdsearch.search.rules import FINISHED, WAIT, Rules, SizeVerdict, Train, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = Rules(margin=0.1, dev_items=100, confirm_items=100)
LOSSES = {"answer_ce": {"weight": 1.0}, "soft_labels": {"weight": 0.5}}
MATCH = [
    SizeVerdict("A", Verdict.NO_MATCH, "dev", best_trial="A-c0-s0"),
    SizeVerdict("B", Verdict.MATCH, "confirm", best_trial="B-c1-s0"),
    SizeVerdict("C", Verdict.UNDECIDED, "dev", best_trial="C-c0-s0"),
]


def finished(trial: str, score: float = 0.5) -> TrialFinished:
    size, index, *_, seed = trial.split("-")
    return TrialFinished(
        size=size,
        trial=trial,
        index=int(index[1:]),
        seed=int(seed[1:]),
        config={},
        score=score,
        student_only=0,
        teacher_only=0,
        items=100,
        flops={},
    )


def searched(terms: tuple[str, ...], rules: Rules = RULES) -> Ablations:
    ablations = Ablations(terms, rules)
    for trial, score in (("A-c0-s0", 0.3), ("B-c1-s0", 0.6), ("C-c0-s0", 0.7)):
        ablations.apply(finished(trial, score))
    return ablations


def settings(size: str, index: int, losses: Mapping[str, Any] = LOSSES) -> dict[str, Any]:
    return {"losses": losses}


def test_the_smallest_match_is_trained_without_each_term_and_compared() -> None:
    ablations = searched(("soft_labels", "answer_ce"))
    first = ablations.next(MATCH, settings)
    assert first == Train("B-c1-without-soft_labels-s0", "B", 1, 0, without="soft_labels")
    second = ablations.next(MATCH, settings)
    assert isinstance(second, Train)
    assert second.without == "answer_ce"
    assert ablations.next(MATCH, settings) is WAIT
    ablations.apply(finished(first.trial))
    comparison = ablations.next(MATCH, settings)
    assert comparison == Comparison("B", "soft_labels", (("B-c1-s0", first.trial),))
    event = ablations.compare(comparison, [([1.0] * 9 + [0.0], [1.0] * 3 + [0.0] * 7)])
    assert (event.trial, event.with_only, event.without_only) == ("B-c1-s0", 6, 0)
    assert event.difference == pytest.approx(0.6)
    assert 0.0 < event.lower_bound < 0.6 < event.upper_bound
    ablations.apply(event)
    ablations.apply(
        TrialFailed(size="B", trial=second.trial, index=1, seed=0, error="out of memory")
    )
    skipped = ablations.next(MATCH, settings)
    assert isinstance(skipped, AblationSkipped)
    assert skipped.reason == "its trial failed: out of memory"
    ablations.apply(skipped)
    assert ablations.next(MATCH, settings) is FINISHED


def test_without_a_match_the_best_student_is_ablated() -> None:
    ablations = searched(("soft_labels",))
    job = ablations.next([replace(each, verdict=Verdict.UNDECIDED) for each in MATCH], settings)
    assert isinstance(job, Train)
    assert (job.size, job.index) == ("C", 0)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ({**LOSSES, "soft_labels": {"weight": 0.0}}, "its weight is 0"),
        ({**LOSSES, "answer_ce": {"weight": 0.0}}, "no other term"),
    ],
)
def test_a_term_that_cannot_be_left_out_is_said(losses: dict[str, Any], reason: str) -> None:
    step = searched(("soft_labels",)).next(MATCH, lambda *_: settings("", 0, losses))
    assert isinstance(step, AblationSkipped)
    assert reason in step.reason


def test_nothing_trained_is_said() -> None:
    step = Ablations(("soft_labels",), RULES).next([], settings)
    assert step == AblationSkipped(term="soft_labels", reason="no distilled student was trained")


def test_seeds_are_ablated_alike() -> None:
    ablations = searched(("soft_labels",), replace(RULES, seeds=3))
    for seed in (1, 2, 3):
        ablations.apply(finished(f"B-c1-s{seed}"))
    jobs = [ablations.next(MATCH, settings) for _ in range(3)]
    assert [job.seed for job in jobs if isinstance(job, Train)] == [1, 2, 3]
    for job in jobs:
        assert isinstance(job, Train)
        ablations.apply(finished(job.trial))
    comparison = ablations.next(MATCH, settings)
    assert isinstance(comparison, Comparison)
    scores = [([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, float(seed)]) for seed in range(3)]
    event = ablations.compare(
        comparison, [(one, [min(1.0, x) for x in two]) for one, two in scores]
    )
    assert len(event.without) == 3
    assert event.difference == pytest.approx((0.5 + 0.25 + 0.25) / 3)


def test_units_count_once() -> None:
    ablations = searched(("soft_labels",))
    comparison = Comparison("B", "soft_labels", (("B-c1-s0", "x"),))
    scores = [([1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0])]
    assert ablations.compare(comparison, scores, ["u", "u", "v", "w"]).items == 3


def test_bounds_hold_for_all_terms_together() -> None:
    comparison = Comparison("B", "soft_labels", (("B-c1-s0", "x"),))
    scores = [([1.0] * 80 + [0.0] * 20, [1.0] * 70 + [0.0] * 30)]
    one = searched(("soft_labels",)).compare(comparison, scores)
    two = searched(("soft_labels", "answer_ce")).compare(comparison, scores)
    assert two.lower_bound < one.lower_bound < one.upper_bound < two.upper_bound


def test_a_term_is_left_out_of_settings_alone() -> None:
    whole = {"losses": LOSSES, "training": {"max_steps": 3}}
    assert without_term(whole, "soft_labels") == {
        "losses": {"answer_ce": {"weight": 1.0}},
        "training": {"max_steps": 3},
    }


def test_a_journal_tells_ablations_from_the_search_and_from_more_of_them() -> None:
    def started(trial: str, without: str | None) -> Record:
        event = TrialStarted(size="B", trial=trial, index=1, seed=0, config={}, without=without)
        return Record(0, 0.0, event)

    records = [started("B-c1-s0", None), started("x", "soft_labels")]
    assert ablated_trials(records) == {"x"}
    begun = [Record(0, 0.0, RunStarted(run="r", plan={"ablate": ["a"]}))]
    assert more_ablations(begun, {"ablate": ["a", "b"]})
    assert not more_ablations(begun, {"ablate": ["a"]})
