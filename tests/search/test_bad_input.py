"""What a search says of what it was not made for: each case has an outcome and a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsearch.events import (
    SizeDecided,
    TeacherReady,
)
from kdsearch.search.confirm import confirm_event
from kdsearch.search.policy import Policy
from kdsearch.search.rules import FINISHED, SizeCost, Train
from kdsearch.stats.distributions import normal_quantile
from kdsearch.stats.sequential import nominal_level
from tests.search.scripted import EVEN, LEVEL, RISING, RULES, SIZES, Script, drive, ending, ladder


def test_no_configuration_in_reach_is_no_match() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[-0.1] * 7), LEVEL)
    assert policy.outcome() == "no_match"
    assert policy.sentence().startswith("No tried configuration")
    assert policy.tests == []


def test_a_near_miss_on_dev_is_undecided() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[-0.1] * 6, -0.035), LEVEL)
    assert policy.outcome() == "undecided"
    assert policy.sentence().startswith("Undecided: nothing tried at")
    assert policy.tests == []


def test_where_nothing_passes_on_dev_confirm_tests_what_may_still_match() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[-0.1] * 4, -0.03, -0.025, -0.04), {**LEVEL, "F": 0.01})
    assert [test.size for test in policy.tests] == ["F"]
    assert policy.tests[0].alpha == pytest.approx(0.05)  # no larger size passed: all of it
    assert policy.outcome() == "match"


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


def test_a_ladder_of_one_size_is_tested_at_full_alpha() -> None:
    policy = Policy(SIZES[:1], RULES)
    drive(policy, {("A", 0): 0.0}, {"A": 0.0})
    assert policy.share("A") == 0.05
    assert "the only size of the ladder" in policy.sentence()


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


def test_a_teacher_below_every_student_is_matched_by_the_smallest() -> None:
    policy = Policy(SIZES, RULES)
    drive(policy, ladder(*[0.03] * 7), dict.fromkeys("ABCDEFG", 0.03))
    assert policy.verdicts()[0].verdict == "match"
    assert "3.0 points above the teacher" in policy.sentence()


def test_a_share_to_retain_is_said_as_it_was_asked() -> None:
    policy = Policy(SIZES, replace(RULES, margin=None, retain=0.975))
    drive(policy, ladder(*[0.0] * 7), LEVEL)
    sentence = policy.sentence()
    assert sentence.startswith("A is the smallest student found to keep 97.5% of its teacher's")
    assert "points above 97.5% of the teacher's score on 2000 confirm items" in sentence


def test_equal_sizes_are_told_apart_by_their_place() -> None:
    policy = Policy([SizeCost(name, 5.0, 1000) for name in "ABC"], RULES)
    script: Script = {(name, 0): -0.2 if name == "A" else 0.0 for name in "ABC"}
    drive(policy, script, LEVEL)
    assert policy.verdicts()[1].verdict == "match"


def test_a_confirm_too_small_for_the_margin_says_how_many_would_do() -> None:
    policy = Policy(SIZES[:1], replace(RULES, confirm_items=400, margin=0.02, reserve=0.1))
    policy.next_job()
    policy.apply(ending(Train("A-c0-s0", "A", 0, 0), 0.02))
    student = [0.0] * 26 + [1.0] * 354 + [0.0] * 20
    policy.apply(confirm_event(policy, "A", student, [1.0] * 360 + [0.0] * 40))
    assert policy.outcome() == "undecided"
    more = policy.more_items
    assert more is not None
    assert f"about {more:,} more confirm items would decide" in policy.sentence()
    critical = normal_quantile(1.0 - nominal_level((0.045, 0.0045)))
    variance, distance = 46 / 400 - 0.015**2, 0.005
    shown = distance * (400 / variance) ** 0.5
    needed = (critical * 2**0.5 - shown + normal_quantile(0.8)) ** 2 * variance / distance**2
    assert more == pytest.approx(needed, rel=0.1)


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly one of margin, retain"):
        replace(RULES, retain=0.97)
    with pytest.raises(ValueError, match="at least 1"):
        replace(RULES, configurations=0)
    with pytest.raises(ValueError, match="seeds"):
        replace(RULES, seeds=2)
    with pytest.raises(ValueError, match="each with a name of its own"):
        Policy([SIZES[0], SIZES[0]], RULES)
