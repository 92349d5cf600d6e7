"""When a student matches its teacher: paired tests on items that both answered.

Each test states its hypothesis and error rate. Items must be right or wrong and independent; others
go through `bounded`. Nothing here chooses a size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.stats.distributions import normal_quantile, normal_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BISECTIONS = 60
"""Halvings of an interval at most 2 wide: the bounds are exact to 2e-18, beyond a float's own."""

NOTHING = 1e-9
"""Items; a score below it is a rounding error."""


class PairedTest(NamedTuple):
    """A one-sided test of `difference > -margin`, with the bounds of the difference."""

    statistic: float
    p_value: float
    lower_bound: float
    """Of the difference; one-sided at the test's confidence."""
    upper_bound: float
    """Of the difference; one-sided at the test's confidence."""
    passes: bool


def tango_test(
    student_only: int, teacher_only: int, items: int, margin: float, confidence: float
) -> PairedTest:
    """Test whether a student is less than a margin below its teacher.

    Null hypothesis: the difference of the rates of right answers, student minus teacher, is at
    most `-margin`. The score test of Tango (1998, Statistics in Medicine 17:891-908) in closed
    form. Its error rate is asymptotic: up to 6.02 % at a nominal 5 % (300 items of which 2 %
    disagree); `exact_tango_test` keeps the nominal one. Two students that agree with the teacher on
    every item give statistic 0 at margin 0, and no pass.

    Args:
        student_only: Items that the student has right and the teacher wrong.
        teacher_only: Items that the teacher has right and the student wrong.
        items: All items; they must be independent of each other.
        margin: How far below the teacher still matches, in 0..1.
        confidence: One minus the chance of a false match, and of each bound being wrong.

    Raises:
        ValueError: If the counts are impossible.
    """
    if min(student_only, teacher_only) < 0 or student_only + teacher_only > items or items < 1:
        raise ValueError(f"impossible counts: {student_only} + {teacher_only} of {items} items")

    def score(difference: float) -> float:
        return tango_statistic(student_only, teacher_only, items, difference)

    return _invert(score, (-1.0, 1.0), -margin, confidence)


def exact_tango_test(
    student_only: int, teacher_only: int, items: int, margin: float, confidence: float
) -> PairedTest:
    """Test as `tango_test` does, at a critical value that keeps the level exactly.

    The critical value is the nominal one wherever that keeps the level at the margin, whatever the
    share of items that disagree; see `exact`. The bounds are those of Tango's test at it.
    """
    from kdsearch.stats.exact import SURE, ExactSize, tango_critical_value

    nominal = tango_test(student_only, teacher_only, items, margin, confidence)
    alpha, discordant = round(1.0 - confidence, 12), student_only + teacher_only
    critical = tango_critical_value(discordant, items, margin, alpha)
    if critical > normal_quantile(confidence):
        level = 1.0 - normal_tail(critical)
        nominal = tango_test(student_only, teacher_only, items, margin, level)
    p_value = nominal.p_value
    if SURE < p_value < 0.5:  # elsewhere the exact one changes no decision
        just = nominal.statistic - NOTHING
        p_value = max(p_value, ExactSize(discordant, items, margin).at(just))
    return nominal._replace(p_value=p_value)


def tango_statistic(student_only: int, teacher_only: int, items: int, difference: float) -> float:
    """Return the score statistic of one hypothesised difference (Tango 1998, equation 6)."""
    spread = difference * (1.0 - difference)
    linear = -student_only - teacher_only + (2 * items - student_only + teacher_only) * difference
    root = math.sqrt(max(0.0, linear * linear + 8 * items * teacher_only * spread))
    teacher_rate = (root - linear) / (4 * items)
    return _ratio(
        student_only - teacher_only - items * difference,
        items * (2.0 * teacher_rate + spread),
    )


def retain_test(
    both: int, student_only: int, teacher_only: int, items: int, retain: float, confidence: float
) -> PairedTest:
    """Test whether a student keeps a share of its teacher's score.

    Null hypothesis: the mean of `student - retain * teacher` over items is at most 0. A score
    test with the variance of the likelihood constrained to the null, which at `retain` 1 is
    Tango's; a paired t-test gives up to 10 % false matches when the disagreement is one-sided.
    The bounds are of that mean, to be read against 0.

    Args:
        both: Items that both have right.
        student_only: Items that the student has right and the teacher wrong.
        teacher_only: Items that the teacher has right and the student wrong.
        items: All items; they must be independent of each other.
        retain: The share to keep, above 0 and at most 1.
        confidence: One minus the chance of a false match, and of each bound being wrong.

    Raises:
        ValueError: If the counts are impossible.
    """
    neither = items - both - student_only - teacher_only
    if min(both, student_only, teacher_only, neither) < 0 or items < 1:
        raise ValueError(f"impossible counts: {both}, {student_only}, {teacher_only} of {items}")
    values = (1.0 - retain, 1.0, -retain, 0.0)
    counts = (both, student_only, teacher_only, neither)

    def score(mean: float) -> float:
        return score_statistic(values, counts, mean)

    return _invert(score, (-retain, 1.0), 0.0, confidence)


def score_statistic(values: Sequence[float], counts: Sequence[int], mean: float) -> float:
    """Return the score statistic of a hypothesised mean of a few known values.

    The probabilities that maximise the likelihood under that mean are
    `count / (items * (1 + tilt * (value - mean)))`; the tilt is found by bisection. An extreme
    value that never occurred may get the rest.
    """
    items = sum(counts)
    offsets = [value - mean for value in values]
    observed = sum(count * offset for count, offset in zip(counts, offsets, strict=True))
    low, high = -1.0 / max(max(offsets), 1e-300), -1.0 / min(min(offsets), -1e-300)

    def slope(tilt: float) -> float:
        return sum(
            count * offset / (1.0 + tilt * offset)
            for count, offset in zip(counts, offsets, strict=True)
            if count
        )

    tilt = crossing(slope, low, high)
    squares, mass = 0.0, 0.0
    for count, offset in zip(counts, offsets, strict=True):
        if count:
            weight = count / (items * (1.0 + tilt * offset))
            squares += weight * offset * offset
            mass += weight
    outermost = max(offsets) if observed < 0 else min(offsets)
    squares += max(0.0, 1.0 - mass) * outermost * outermost
    return _ratio(observed, items * squares)


def wilson_interval(right: float, items: int, confidence: float) -> tuple[float, float]:
    """Return a two-sided interval of a rate (Wilson 1927).

    Args:
        right: Right answers; a sum of graded scores gives a slightly wide interval.
        items: All items.
        confidence: Share of such intervals that hold the rate.
    """
    quantile = normal_quantile(0.5 + confidence / 2.0)
    square = quantile * quantile
    rate = right / items
    centre = rate + square / (2 * items)
    spread = quantile * math.sqrt(rate * (1.0 - rate) / items + square / (4 * items * items))
    scale = 1.0 + square / items
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))  # rounding: it holds the rate


def alpha_shares(count: int, alpha: float) -> tuple[float, ...]:
    """Split the chance of a false match over the sizes that confirm may test.

    Each size takes half of what those before it left, the last one all of it. By Bonferroni's
    inequality the chance of any false match stays below alpha. A size that fails on dev is not
    tested and leaves its share to the larger ones: dev knows nothing of confirm, so that the shares
    along the way are fixed before confirm is read.

    Args:
        count: Sizes from the candidate to the top of the ladder.
        alpha: The chance of any false match.
    """
    halves = [alpha / 2.0**place for place in range(1, count)]
    return (*halves, halves[-1] if halves else alpha)[: max(0, count)]


def _ratio(score: float, variance: float) -> float:
    """Divide a score by its deviation; without variance it is 0 or without limit."""
    if variance > 0.0:
        return score / math.sqrt(variance)
    return math.copysign(math.inf, score) if abs(score) > NOTHING else 0.0


def _invert(
    score: Callable[[float], float], limits: tuple[float, float], null: float, confidence: float
) -> PairedTest:
    """Test at the null and find where the falling statistic crosses the two quantiles."""
    quantile = normal_quantile(confidence)
    statistic = score(null)
    return PairedTest(
        statistic=statistic,
        p_value=normal_tail(statistic),
        lower_bound=crossing(lambda difference: score(difference) - quantile, *limits),
        upper_bound=crossing(lambda difference: score(difference) + quantile, *limits),
        passes=statistic > quantile,
    )


def crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses zero, or the limit that it does not reach."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        if falling(middle) > 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
