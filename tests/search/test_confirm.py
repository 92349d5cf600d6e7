from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.search.confirm import Level, Scores, judge_on_confirm, paired_test
from kdsearch.search.rules import Rules
from kdsearch.stats.bounded import bounded_mean_test, paired_limits
from kdsearch.stats.distributions import normal_quantile, normal_tail
from kdsearch.stats.paired import exact_tango_test, retain_test, tango_statistic
from kdsearch.stats.seeds import recipe_test
from kdsearch.stats.sequential import nominal_level

if TYPE_CHECKING:
    from kdsearch.events import ConfirmTested

RULES = Rules(margin=0.03, dev_items=10, confirm_items=1000)
STUDENT = [1.0] * 870 + [0.0] * 30 + [1.0] * 20 + [0.0] * 80
TEACHER = [1.0] * 900 + [0.0] * 100


def test_right_and_wrong_answers_take_tango() -> None:
    test = paired_test(Scores([STUDENT], TEACHER), RULES, 0.025)
    assert test == exact_tango_test(20, 30, 1000, 0.03, 0.975)


def test_a_share_to_retain_takes_its_score_test() -> None:
    test = paired_test(Scores([STUDENT], TEACHER), replace(RULES, margin=None, retain=0.97), 0.05)
    assert test == retain_test(870, 20, 30, 1000, 0.97, 0.95)


def test_a_share_to_retain_that_few_items_speak_of_takes_the_bounded_mean() -> None:
    rules, student = replace(RULES, margin=None, retain=0.97), [1.0] * 890 + [0.0] * 110
    values = [own - 0.97 * other for own, other in zip(student, TEACHER, strict=True)]
    expected = bounded_mean_test(values, paired_limits(0.97), 0.0, 0.95)
    assert paired_test(Scores([student], TEACHER), rules, 0.05) == expected


def test_graded_scores_take_the_bounded_mean() -> None:
    graded = [score / 2 for score in STUDENT]
    test = paired_test(Scores([graded], TEACHER), RULES, 0.05)
    differences = [own - other for own, other in zip(graded, TEACHER, strict=True)]
    assert test == bounded_mean_test(differences, paired_limits(None), -0.03, 0.95)


def test_units_widen_the_bounds() -> None:
    units = [item // 10 for item in range(1000)]
    alone = paired_test(Scores([STUDENT], TEACHER), RULES, 0.05)
    together = paired_test(Scores([STUDENT], TEACHER, units), RULES, 0.05)
    assert together.upper_bound - together.lower_bound > alone.upper_bound - alone.lower_bound
    single = paired_test(Scores([STUDENT], TEACHER, list(range(1000))), RULES, 0.05)
    assert single == alone


def test_several_seeds_are_tested_as_a_recipe() -> None:
    scores = Scores([STUDENT, TEACHER, STUDENT], TEACHER)
    differences = [
        [own - other for own, other in zip(student, TEACHER, strict=True)]
        for student in scores.students
    ]
    assert paired_test(scores, RULES, 0.05) == recipe_test(
        differences, paired_limits(None), -0.03, 0.95
    )
    event = judge_on_confirm("A", "A-c0-s0", scores, RULES, Level(0.05), {})
    assert event.student_score == pytest.approx((0.89 + 0.9 + 0.89) / 3)


@pytest.mark.parametrize(
    ("right", "verdict"), [(900, "match"), (875, "undecided"), (800, "no_match")]
)
def test_verdicts(right: int, verdict: str) -> None:
    student = [1.0] * right + [0.0] * (1000 - right)
    event = judge_on_confirm("A", "A-c0-s0", Scores([student], TEACHER), RULES, Level(0.05), {})
    assert event.verdict == verdict


def looked(students: list[list[float]], batches: list[range], **level: Any) -> ConfirmTested:
    """Test students that answer as STUDENT, and the teacher as TEACHER, once more each look."""
    teacher = [score for _ in batches for score in TEACHER]
    scores = Scores(students, teacher)
    return judge_on_confirm("A", "t", scores, RULES, Level(**level), {}, batches)


TWICE = [range(1000), range(1000, 2000)]


def test_a_second_look_is_tested_at_more_than_its_share_and_less_than_all() -> None:
    event = looked([STUDENT * 2], TWICE, alpha=0.0045, before=(0.045,), look=2)
    assert (event.look, event.alpha, event.items) == (2, 0.0045, 2000)
    assert event.level == nominal_level((0.045, 0.0045))
    assert 0.0045 < event.level < 0.045
    own = -normal_quantile(exact_tango_test(20, 30, 1000, 0.03, 0.95).p_value)
    assert event.p_value == pytest.approx(normal_tail(own * 2 / 2**0.5))
    assert (event.verdict == "match") == (event.p_value < event.level)
    assert (event.lower_bound > -0.03) == (event.verdict == "match")


def test_looks_that_bring_unequal_numbers_count_alike() -> None:
    many = [1.0] * 10_000
    scores = Scores([[*STUDENT, *many]], [*TEACHER, *many])
    batches = [range(1000), range(1000, 11_000)]
    event = judge_on_confirm("A", "t", scores, RULES, Level(0.0045, (0.045,), 2), {}, batches)
    first = -normal_quantile(exact_tango_test(20, 30, 1000, 0.03, 0.95).p_value)
    second = tango_statistic(0, 0, 10_000, -0.03)
    assert event.p_value == pytest.approx(normal_tail((first + second) / 2**0.5), rel=1e-6)


def test_graded_scores_and_units_are_combined_too() -> None:
    units = [place // 2 for place in range(2000)]
    for student in (STUDENT * 2, [score / 1.001 for score in STUDENT * 2]):
        scores = Scores([student], TEACHER * 2, units if student[0] == 1.0 else None)
        event = judge_on_confirm("A", "t", scores, RULES, Level(0.0045, (0.045,), 2), {}, TWICE)
        assert event.lower_bound < event.difference < event.upper_bound
        assert (event.lower_bound > -0.03) == (event.p_value < (event.level or 0.0))


def test_several_seeds_have_no_second_look() -> None:
    with pytest.raises(ValueError, match="one look alone"):
        looked([STUDENT * 2] * 3, TWICE, alpha=0.0045, before=(0.045,), look=2)
