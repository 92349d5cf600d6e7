"""The test on confirm: the only place where a size can become a match."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdsearch.events import ConfirmTested
from kdsearch.search.graded import paired_t_test
from kdsearch.search.rules import Verdict
from kdsearch.search.statistics import PairedTest, retain_test, tango_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.search.rules import Rules


def verdict_of(test: PairedTest, bar: float) -> Verdict:
    """Read a verdict off a test and the upper bound of the difference."""
    if test.passes:
        return Verdict.MATCH
    return Verdict.NO_MATCH if test.upper_bound < bar else Verdict.UNDECIDED


def paired_test(
    student: Sequence[float], teacher: Sequence[float], rules: Rules, alpha: float
) -> PairedTest:
    """Test a student against the rules, by the test that fits its scores.

    Scores that are all right or wrong take Tango's test, or the score test of a retained share;
    graded ones take a paired t-test.

    Args:
        student: The student's score of each independent item.
        teacher: The teacher's, in the same order.
        rules: Margin or share to retain.
        alpha: This test's share of the chance of a false match.
    """
    pairs = list(zip(student, teacher, strict=True))
    if all(score in (0.0, 1.0) for pair in pairs for score in pair):
        b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
        if rules.margin is not None:
            return tango_test(b, c, len(pairs), rules.margin, 1.0 - alpha)
        kept = rules.retain or 1.0
        return retain_test(pairs.count((1.0, 1.0)), b, c, len(pairs), kept, 1.0 - alpha)
    kept = 1.0 if rules.retain is None else rules.retain
    return paired_t_test([own - kept * other for own, other in pairs], -rules.bar, 1.0 - alpha)


def tested_event(
    size: str,
    trial: str | None,
    student: Sequence[float],
    teacher: Sequence[float],
    rules: Rules,
    alpha: float,
    flops: Mapping[str, float],
) -> ConfirmTested:
    """Test a student on confirm and return the event that says so."""
    test = paired_test(student, teacher, rules, alpha)
    items = len(student)
    kept = 1.0 if rules.retain is None else rules.retain
    student_score, teacher_score = math.fsum(student) / items, math.fsum(teacher) / items
    return ConfirmTested(
        size=size,
        trial=trial,
        student_only=sum(own > other for own, other in zip(student, teacher, strict=True)),
        teacher_only=sum(own < other for own, other in zip(student, teacher, strict=True)),
        items=items,
        student_score=student_score,
        teacher_score=teacher_score,
        difference=student_score - kept * teacher_score,
        lower_bound=test.lower_bound,
        upper_bound=test.upper_bound,
        p_value=test.p_value,
        verdict=verdict_of(test, rules.bar),
        flops=flops,
    )
