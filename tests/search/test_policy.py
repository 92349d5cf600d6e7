"""The policy driven by scripted results, on any number of slots, in any order of arrival."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmChecked,
    ConfirmOpened,
    Record,
    SizeDecided,
    TrialFinished,
    TrialStopped,
)
from kdsearch.search.confirm import confirm_event
from kdsearch.search.policy import Policy
from kdsearch.search.rules import FINISHED, WAIT, Confirm, Rules, Train
from kdsearch.spec.models import Strategy
from tests.search.scripted import (
    EVEN,
    LEVEL,
    RISING,
    RULES,
    SIZES,
    Script,
    confirm_answers,
    decisions,
    drive,
    ending,
    ladder,
)

if TYPE_CHECKING:
    from random import Random

    from kdsearch.events import Event


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


def test_sequential_configurations_wait_for_those_below() -> None:
    policy = Policy(SIZES[:1], replace(RULES, sequential=True))
    baseline, first = policy.next_job(), policy.next_job()
    assert isinstance(first, Train)
    assert policy.next_job() is WAIT
    policy.apply(ending(first, -0.2))
    second = policy.next_job()
    assert isinstance(second, Train)
    assert second.index == 1
    assert policy.differences("A") == {0: -0.2}
    assert isinstance(baseline, Train)


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
    sequential=st.booleans(),
    reserve=st.sampled_from([0.0, 0.1]),
    probe_below=st.booleans(),
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


def test_a_larger_size_that_fails_on_dev_hands_its_share_on() -> None:
    script = RISING | {("F", index): -0.1 for index in range(3)}
    policy = Policy(SIZES, RULES)
    log = drive(policy, script, {**LEVEL, "E": -0.05})
    assert [test.size for test in policy.tests] == ["E", "G"]
    assert [test.alpha for test in policy.tests] == pytest.approx([0.025, 0.025])
    assert [event.size for event in log if isinstance(event, SizeDecided)][-3:] == ["F", "G", "G"]


def test_what_an_opening_may_spend_is_asked_for_once_and_remembered() -> None:
    asked: list[float] = []

    def spend() -> float:
        asked.append(0.02)
        return 0.02

    log = drive(Policy(SIZES, RULES, opening_alpha=spend), RISING, LEVEL)
    opened = next(event for event in log if isinstance(event, ConfirmOpened))
    assert (opened.alpha, opened.alphas[0]) == pytest.approx((0.02, 0.01))
    resumed = Policy(SIZES, RULES, opening_alpha=spend)
    assert resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log)]) == []
    assert asked == [0.02]


def probed(*differences: float) -> tuple[Policy, list[str]]:
    """Search a ladder with a probe below the match; return what confirm tested, too."""
    policy = Policy(EVEN, replace(RULES, probe_below=True))
    drive(policy, ladder(*differences), LEVEL)
    return policy, [test.size or "" for test in policy.tests]


def test_sizes_that_were_not_tried_are_named() -> None:
    policy = Policy(EVEN, RULES)
    drive(policy, ladder(-0.3, 0.0, 0.0, -0.2, -0.01, 0.0, 0.0), LEVEL)
    told = "D does not match; A, B and C were not tried (search.probe_below tries C)."
    assert policy.sentence().endswith(told)
    policy = Policy(EVEN, RULES)
    drive(policy, ladder(*[-0.3] * 7), LEVEL)
    assert policy.sentence() == (
        "No tried configuration of D, F and G matches the teacher; A, B, C and E were not tried."
    )


def test_a_probe_below_is_tested_at_the_share_that_the_match_hands_on() -> None:
    policy, tested = probed(-0.3, 0.0, 0.0, -0.2, -0.01, 0.0, 0.0)
    assert tested == ["E", "C"]
    assert [test.alpha for test in policy.tests] == pytest.approx([0.025, 0.025])
    assert policy.sentence().startswith("C is the smallest student found to match")


def test_a_probe_that_fails_leaves_the_match_as_it_is() -> None:
    policy, tested = probed(-0.3, 0.0, -0.3, -0.2, -0.01, 0.0, 0.0)
    assert tested == ["E"]
    assert policy.sentence().startswith("E is the smallest student found to match")
    assert policy.sentence().endswith("D does not match; A and B were not tried.")


def added(log: list[Event], look: int, *sizes: str) -> ConfirmOpened:
    alphas = (0.0045,) if len(sizes) == 1 else (0.00225, 0.00225)
    return ConfirmOpened(sizes=sizes, alphas=alphas, fingerprint="", alpha=0.0045, look=look)


def test_added_items_test_undecided_sizes_again_from_any_cut_of_the_journal() -> None:
    rules, confirm = replace(RULES, reserve=0.1), {**LEVEL, "E": -0.03, "F": -0.03, "G": -0.03}
    policy = Policy(SIZES, rules)
    log = drive(policy, RISING, confirm)
    assert policy.undecided_on_confirm() == ["E", "F", "G"]
    again = added(log, 2, "E", "F")
    log.extend([again, *policy.apply(again)])
    first = len(log)
    while isinstance(job := policy.next_job(), Confirm):
        assert job.look == 2
        answers = confirm_answers(-0.03 if job.size == "E" else 0.0, items=6000)
        event = confirm_event(policy, job.size, *answers, look=job.look)
        log.extend([event, *policy.apply(event)])
    assert [test.size for test in policy.tests] == ["G", "E", "F"]
    assert [(test.look, test.items) for test in policy.tests] == [(1, 2000), (2, 6000), (2, 6000)]
    assert policy.outcome() == "match"
    assert policy.sentence().startswith("F is the smallest student found")
    for cut in range(first, len(log) + 1):
        resumed = Policy(SIZES, rules)
        records = [Record(place, 0.0, event) for place, event in enumerate(log[:cut])]
        due = resumed.restore(records)
        if cut == len(log):
            assert due == []
            assert resumed.verdicts() == policy.verdicts()
            assert resumed.next_job() is FINISHED
        else:
            assert due or isinstance(resumed.next_job(), Confirm)


def test_a_run_that_is_extended_after_a_second_look_tests_nothing_twice() -> None:
    rules, confirm = replace(RULES, reserve=0.1), {**LEVEL, "E": -0.03, "F": -0.03, "G": -0.03}
    policy = Policy(SIZES, rules)
    log = drive(policy, RISING, confirm)
    again = added(log, 2, "E", "F")
    log += [again, *policy.apply(again)]
    for size in "EF":
        event = confirm_event(policy, size, *confirm_answers(-0.03, items=6000), look=2)
        log += [event, *policy.apply(event)]
    extended = Policy(SIZES, replace(rules, configurations=4))
    records = [Record(place, 0.0, event) for place, event in enumerate(log)]
    extended.restore(records, changed=True)
    assert extended.exploratory
    assert not isinstance(extended.next_job(), Confirm)
    assert [(test.look, test.items) for test in extended.earlier_tests("E")] == [
        (1, 2000),
        (2, 6000),
    ]
    assert extended.undecided_on_confirm() == ["E", "F", "G"]


def test_items_that_cannot_be_trusted_decide_nothing_and_revoke_nothing() -> None:
    rules, confirm = replace(RULES, reserve=0.1), {**LEVEL, "E": -0.03}
    policy = Policy(SIZES, rules)
    log = drive(policy, RISING, confirm)
    assert policy.outcome() == "match"
    assert policy.undecided_on_confirm() == ["E"]
    policy.apply(added(log, 2, "E"))
    policy.apply(
        ConfirmChecked(
            score=0.3, items=9, dev_score=0.9, chance={}, p_value=0.0, reliable=False, reason="odd"
        )
    )
    assert policy.next_job() is FINISHED
    assert policy.outcome() == "match"
    assert "What was added decides nothing. Unreliable data: odd; no student" in policy.sentence()


def test_an_interrupted_trial_is_handed_out_again() -> None:
    policy = Policy(SIZES[:1], RULES)
    policy.next_job()
    first = policy.next_job()
    assert isinstance(first, Train)
    stopped = TrialStopped(size="A", trial=first.trial, index=0, seed=0, reason="interrupted")
    policy.apply(stopped)
    assert policy.next_job() == first


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
    assert "no match on dev after 3 of 6" in policy.verdicts()[0].reason


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
