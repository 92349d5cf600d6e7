"""The policy driven by scripted results, on any number of slots, in any order of arrival."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmOpened,
    ConfirmTested,
    Event,
    Record,
    RunStarted,
    SizeDecided,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStopped,
)
from kdsearch.search.policy import (
    FINISHED,
    WAIT,
    Confirm,
    Policy,
    Rules,
    SizeCost,
    Train,
    confirm_event,
    recipe_event,
)
from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        return TrialFailed(**place, error="ValueError: broken")  # type: ignore[arg-type]
    only = 40 + round(difference * ITEMS), 40
    return TrialFinished(
        **place,  # type: ignore[arg-type]
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


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy_finds_the_smallest_match(strategy: Strategy) -> None:
    policy = Policy(SIZES, replace(RULES, strategy=strategy))
    drive(policy, RISING, LEVEL)
    assert (policy.outcome(), policy.verdicts()[4].verdict) == ("match", "match")
    assert policy.sentence().startswith("E is the smallest student found to match")


def test_the_baseline_comes_first_then_configurations_in_order() -> None:
    policy = Policy(SIZES[:1], RULES)
    jobs = [policy.next_job() for _ in range(5)]
    assert [job.trial for job in jobs if isinstance(job, Train)] == [
        "A-baseline-s0",
        "A-c0-s0",
        "A-c1-s0",
        "A-c2-s0",
    ]
    assert jobs[4] is WAIT


def test_a_later_pass_waits_for_lower_indices() -> None:
    policy = Policy(SIZES[:1], RULES)
    jobs = [policy.next_job() for _ in range(4)]
    trains = [job for job in jobs if isinstance(job, Train)]
    assert policy.apply(ending(trains[2], 0.0)) == []
    assert policy.stop_reason("A-c2-s0") is None
    decided = policy.apply(ending(trains[1], -0.2))
    assert [event.name for event in decided] == ["size_decided", "confirm_opened"]
    assert decided[0].trial == "A-c1-s0"
    assert "decided" in (policy.stop_reason("A-c2-s0") or "")
    assert policy.stop_reason("A-baseline-s0") is None


results = st.one_of(st.none(), st.sampled_from([-0.3, -0.1, -0.05, -0.03, -0.02, -0.01, 0.0, 0.01]))
scripts = st.fixed_dictionaries(
    {(size.name, index): results for size in SIZES for index in (None, *range(6))}
)
confirms = st.fixed_dictionaries(
    {size.name: st.sampled_from([-0.1, -0.035, -0.03, -0.02, 0.0]) for size in SIZES}
)


rules_drawn = st.builds(
    replace,
    st.just(RULES),
    strategy=st.sampled_from(Strategy),
    futility=st.booleans(),
    speculate=st.booleans(),
    configurations=st.sampled_from([1, 3, 6]),
)


@settings(max_examples=150, deadline=None)
@given(scripts, confirms, rules_drawn, st.integers(2, 9), st.randoms(use_true_random=False))
def test_decisions_do_not_depend_on_slots_or_arrival(
    script: Script, confirm: dict[str, float], rules: Rules, slots: int, random: Random
) -> None:
    alone, many = Policy(SIZES, rules), Policy(SIZES, rules)
    expected = drive(alone, script, confirm, reporting=True)
    found = drive(many, script, confirm, slots=slots, random=random, reporting=True)
    assert decisions(found) == decisions(expected)
    assert many.verdicts() == alone.verdicts()
    assert many.sentence() == alone.sentence()


@settings(max_examples=100, deadline=None)
@given(scripts, confirms, rules_drawn, st.integers(1, 4), st.integers(1, 60), st.booleans())
def test_a_killed_run_resumes_to_the_same_answer(
    script: Script, confirm: dict[str, float], rules: Rules, slots: int, jobs: int, torn: bool
) -> None:
    whole, killed, resumed = (Policy(SIZES, rules) for _ in range(3))
    expected = drive(whole, script, confirm, reporting=True)
    log = drive(killed, script, confirm, slots=slots, jobs=jobs, reporting=True)
    log = log[: -1 if torn else None]
    log += resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log)])
    before = {event.trial for event in log if isinstance(event, TrialFinished)}
    full = drive(resumed, script, confirm, log=list(log), reporting=True)
    after = [event.trial for event in full[len(log) :] if isinstance(event, TrialFinished)]
    assert decisions(full) == decisions(expected)
    assert not before & set(after)
    assert len(after) == len(set(after))
    assert resumed.sentence() == whole.sentence()


def test_a_decision_that_does_not_follow_is_refused() -> None:
    log = drive(Policy(SIZES, RULES), RISING, LEVEL)
    records = [Record(place, 0.0, event) for place, event in enumerate(log)]
    with pytest.raises(RunError, match="does not follow from its results"):
        Policy(SIZES, replace(RULES, margin=0.3)).restore(records)


def test_a_decision_worded_otherwise_is_the_same() -> None:
    log = drive(Policy(SIZES, RULES), RISING, LEVEL)
    log = [
        replace(event, reason="other words") if isinstance(event, SizeDecided) else event
        for event in log
    ]
    policy = Policy(SIZES, RULES)
    assert policy.restore([Record(place, 0.0, event) for place, event in enumerate(log)]) == []
    assert policy.next_job() is FINISHED


def test_the_climb_tests_larger_sizes_at_their_declared_shares() -> None:
    policy = Policy(SIZES, RULES, "items")
    log = drive(policy, RISING, {**LEVEL, "E": -0.035, "F": -0.05})
    opened = next(event for event in log if isinstance(event, ConfirmOpened))
    assert opened.sizes == ("E", "F", "G")
    assert opened.alphas == pytest.approx((0.025, 0.0125, 0.0125))
    assert opened.fingerprint == "items"
    verdicts = {verdict.size: verdict.verdict for verdict in policy.verdicts()}
    assert [verdicts[name] for name in "EFG"] == ["undecided", "no_match", "match"]


def test_a_larger_size_that_fails_on_dev_loses_its_share() -> None:
    script = RISING | {("F", index): -0.1 for index in range(3)}
    policy = Policy(SIZES, RULES)
    log = drive(policy, script, {**LEVEL, "E": -0.05})
    assert [test.size for test in policy.tests] == ["E", "G"]
    assert [event.size for event in log if isinstance(event, SizeDecided)][-3:] == ["F", "G", "G"]


def test_no_configuration_in_reach_is_no_match() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[-0.1] * 7), LEVEL)
    assert policy.outcome() == "no_match"
    assert policy.sentence().startswith("No tried configuration")
    assert policy.tests == []


def test_a_near_miss_on_dev_is_undecided() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[-0.1] * 6, -0.03), LEVEL)
    assert policy.outcome() == "undecided"


def test_a_size_whose_trials_all_failed_sends_the_search_up_and_says_so() -> None:
    script = RISING | {(name, index): None for name in "CD" for index in (None, 0, 1, 2)}
    policy = Policy(SIZES, RULES)
    drive(policy, script, LEVEL)
    assert policy.outcome() == "match"
    assert policy.verdicts()[3].verdict == "failed"
    everything = {(size.name, index): None for size in SIZES for index in (None, 0, 1, 2)}
    policy = Policy(SIZES, RULES)
    drive(policy, {**everything}, LEVEL)
    assert policy.outcome() == "undecided"
    assert "no trial finished" in policy.sentence()


def test_an_uninformative_teacher_ends_the_search_unless_forced() -> None:
    ready = TeacherReady(
        model="t", parameters=1, score=0.5, items=9, chance={}, informative=False, flops={}
    )
    policy = Policy(SIZES, RULES)
    policy.apply(ready)
    assert policy.next_job() is FINISHED
    assert policy.outcome() == "uninformative_teacher"
    assert {verdict.verdict for verdict in policy.verdicts()} == {"not_visited"}
    forced = Policy(SIZES, replace(RULES, force=True))
    forced.apply(ready)
    assert isinstance(forced.next_job(), Train)


def test_an_interrupted_trial_is_handed_out_again() -> None:
    policy = Policy(SIZES[:1], RULES)
    policy.next_job()
    first = policy.next_job()
    assert isinstance(first, Train)
    stopped = TrialStopped(size="A", trial=first.trial, index=0, seed=0, reason="interrupted")
    policy.apply(stopped)
    assert policy.next_job() == first


def test_a_ladder_of_one_size_is_tested_at_full_alpha() -> None:
    policy = Policy(SIZES[:1], RULES)
    drive(policy, {("A", 0): 0.0}, {"A": 0.0})
    assert policy.share("A") == 0.05
    assert "the only size of the ladder" in policy.sentence()


def test_unknown_trials_and_undeclared_tests_are_refused() -> None:
    policy = Policy(SIZES, RULES)
    with pytest.raises(RunError, match="not part of this search"):
        policy.stop_reason("Z-c0-s0")
    with pytest.raises(RunError, match="not declared"):
        confirm_event(policy, "A", [1.0], [1.0])


def test_futile_trials_are_stopped_and_their_size_given_up_early() -> None:
    policy = Policy(SIZES[:1], replace(RULES, configurations=6))
    log = drive(policy, {("A", index): -0.15 for index in range(6)}, {}, reporting=True)
    stopped = [event for event in log if isinstance(event, TrialStopped)]
    assert [event.trial for event in stopped] == ["A-c0-s0", "A-c1-s0", "A-c2-s0"]
    assert "chance to reach" in stopped[0].reason
    assert policy.verdicts()[0].verdict == "no_match"
    assert "failed after 3 of 6" in policy.verdicts()[0].reason


def test_without_futility_every_configuration_runs_to_its_end() -> None:
    policy = Policy(SIZES[:1], replace(RULES, configurations=6, futility=False))
    log = drive(policy, {("A", index): -0.15 for index in range(6)}, {}, reporting=True)
    assert sum(isinstance(event, TrialFinished) for event in log) == 7


def test_a_replay_knows_a_futile_trial_by_its_reason() -> None:
    policy = Policy(SIZES[:1], replace(RULES, configurations=1))
    policy.apply(
        TrialStopped(size="A", trial="A-c0-s0", index=0, seed=0, reason="futile: hopeless")
    )
    assert policy.verdicts()[0].verdict == "undecided"
    assert "no trial came near" in policy.verdicts()[0].reason


def test_exhaustive_trains_the_whole_grid() -> None:
    policy = Policy(SIZES, replace(RULES, strategy=Strategy.EXHAUSTIVE))
    log = drive(policy, RISING, LEVEL, slots=3, reporting=True)
    assert sum(isinstance(event, TrialFinished) for event in log) == 7 * 4


def test_speculation_uses_free_slots_on_sizes_that_may_come_next() -> None:
    policy = Policy(EVEN, replace(RULES, speculate=True))
    jobs = [policy.next_job() for _ in range(10)]
    assert [job.size for job in jobs[:4] if isinstance(job, Train)] == ["D"] * 4
    ahead = {job.size for job in jobs[4:] if isinstance(job, Train)}
    assert len(ahead) == 2
    assert not any(isinstance(job, Train) and job.index is None for job in jobs[4:])
    for index in range(3):
        policy.apply(ending(Train(f"D-c{index}-s0", "D", index, 0), -0.2))
    smaller, larger = sorted(ahead)
    assert "not needed" in (policy.stop_reason(f"{smaller}-c0-s0") or "")
    assert policy.stop_reason(f"{larger}-c0-s0") is None


def test_an_inversion_is_answered_by_an_upward_scan() -> None:
    script = ladder(-0.3, 0.0, -0.06, -0.08, -0.2, -0.25, -0.3)
    policy = Policy(EVEN, RULES)
    log = drive(policy, script, LEVEL)
    visited = [event.size for event in log if isinstance(event, SizeDecided)]
    assert visited[0] == "D"
    assert visited[2:] == ["A", "B", "B"]
    assert policy.verdicts()[1].verdict == "match"
    assert "larger sizes did worse" in policy.sentence()


def test_a_trend_words_the_size_that_would_be_needed() -> None:
    policy = Policy(EVEN, RULES)
    drive(policy, ladder(-0.4, -0.37, -0.34, -0.3, -0.27, -0.24, -0.2), {})
    assert "points to about" in policy.sentence()


def test_a_decision_at_ten_thousand_trials_costs_what_the_first_does() -> None:
    """Counted in calls and not in seconds: no step walks over all results."""
    rules = replace(RULES, configurations=10_000, futility=False)
    policy = Policy(SIZES[:2], rules)
    events = [ending(Train(f"A-c{index}-s0", "A", index, 0), -0.2) for index in range(9_999)]
    for event in events:
        policy.apply(event)
    calls = 0

    def count(frame: object, kind: str, argument: object) -> None:
        nonlocal calls
        calls += kind == "call"

    sys.setprofile(count)
    try:
        policy.apply(ending(Train("A-c9998-s0", "A", 9998, 0), -0.2))
        policy.next_job()
    finally:
        sys.setprofile(None)
    assert calls < 200


def recipe_search(script: Script, confirm: float) -> tuple[Policy, list[Event]]:
    """Search a ladder of one size whose recipe is tested over three seeds."""
    policy = Policy(SIZES[:1], replace(RULES, seeds=3))
    log: list[Event] = []
    student, teacher = confirm_answers(confirm)
    while not isinstance(job := policy.next_job(), str):
        if isinstance(job, Train):
            event = ending(job, script.get((job.trial, None), 0.0))
        else:
            assert isinstance(job, Confirm)
            event = recipe_event(policy, job.size, [student] * len(job.seeds), teacher)
        log.extend([event, *policy.apply(event)])
    return policy, log


def test_a_recipe_is_trained_with_more_seeds_and_tested_over_all() -> None:
    policy, log = recipe_search({}, 0.0)
    trained = [event.trial for event in log if isinstance(event, TrialFinished)]
    assert trained == ["A-baseline-s0", "A-c0-s0", "A-c0-s1", "A-c0-s2"]
    assert policy.outcome() == "match"
    resumed = Policy(SIZES[:1], replace(RULES, seeds=3))
    assert resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log)]) == []
    assert resumed.sentence() == policy.sentence()


def test_a_killed_recipe_trains_only_the_seeds_that_it_lacks() -> None:
    _, log = recipe_search({}, 0.0)
    killed = next(place for place, event in enumerate(log) if event.trial == "A-c0-s1")
    resumed = Policy(SIZES[:1], replace(RULES, seeds=3))
    resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log[: killed + 1])])
    job = resumed.next_job()
    assert isinstance(job, Train)
    assert job.trial == "A-c0-s2"
    assert resumed.next_job() is WAIT


def test_a_recipe_whose_seeds_fail_stays_undecided() -> None:
    policy, _ = recipe_search({("A-c0-s2", None): None}, 0.0)
    assert policy.outcome() == "undecided"
    assert "too few of its 3 seeds" in policy.verdicts()[0].reason


def test_a_ladder_that_grew_after_confirm_was_opened_is_exploratory() -> None:
    log = drive(Policy(SIZES[3:5], RULES), RISING, {"D": 0.0, "E": -0.035})
    records = [Record(place, 0.0, event) for place, event in enumerate(log)]
    policy = Policy(SIZES[3:], RULES)
    due = policy.restore(records, changed=True)
    assert policy.exploratory
    log += [RunStarted(run="r", plan={"seed": 1}), *due]
    drive(policy, RISING, {**LEVEL, "E": -0.035}, log=log)
    verdicts = {verdict.size: verdict for verdict in policy.verdicts()}
    assert (verdicts["E"].verdict, verdicts["E"].exploratory) == ("undecided", False)
    assert (verdicts["F"].verdict, verdicts["F"].exploratory) == ("match", True)
    assert policy.outcome() == "undecided"
    assert "exploratory" in policy.sentence()
    assert sum(isinstance(event, ConfirmTested) for event in log) == 2
    again = Policy(SIZES[3:], RULES)
    started = [RunStarted(run="r", plan={"seed": 0}), *log]
    again.restore([Record(place, 0.0, event) for place, event in enumerate(started)])
    assert again.verdicts() == policy.verdicts()


def test_graded_scores_and_units_are_weighed_by_their_figures() -> None:
    policy = Policy(SIZES[:1], replace(RULES, configurations=1))
    figures = {"difference": -0.01, "deviation": 0.2, "items": 500}
    event = ending(Train("A-c0-s0", "A", 0, 0), -0.2)
    assert isinstance(event, TrialFinished)
    assert policy.apply(replace(event, paired=figures))[1].name == "confirm_opened"
    units = [place // 2 for place in range(2000)]
    tested = confirm_event(policy, "A", *confirm_answers(0.0), units=units)
    assert tested.verdict == "match"


def test_a_teacher_below_every_student_is_matched_by_the_smallest() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[0.03] * 7), dict.fromkeys("ABCDEFG", 0.03))
    assert policy.verdicts()[0].verdict == "match"
    assert "3.0 points above the teacher" in policy.sentence()


def test_equal_sizes_are_told_apart_by_their_place() -> None:
    policy = Policy([SizeCost(name, 5.0, 1000) for name in "ABC"], RULES)
    script: Script = {(name, 0): -0.2 if name == "A" else 0.0 for name in "ABC"}
    drive(policy, script, LEVEL)
    assert policy.verdicts()[1].verdict == "match"


def test_a_confirm_too_small_for_the_margin_says_how_many_would_do() -> None:
    policy = Policy(SIZES[:1], replace(RULES, confirm_items=400, margin=0.02))
    policy.next_job()
    policy.apply(ending(Train("A-c0-s0", "A", 0, 0), 0.01))
    student = [0.0] * 26 + [1.0] * 354 + [0.0] * 20
    policy.apply(confirm_event(policy, "A", student, [1.0] * 360 + [0.0] * 40))
    assert policy.outcome() == "undecided"
    assert "confirm items would decide" in policy.sentence()


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly one of margin, retain"):
        replace(RULES, retain=0.97)
    with pytest.raises(ValueError, match="at least 1"):
        replace(RULES, configurations=0)
    with pytest.raises(ValueError, match="seeds"):
        replace(RULES, seeds=2)
    with pytest.raises(ValueError, match="each with a name of its own"):
        Policy([SIZES[0], SIZES[0]], RULES)
