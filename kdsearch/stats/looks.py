"""One test of what several looks found, each from the items that it added alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.stats.bounded import bounded_p_value
from kdsearch.stats.distributions import normal_quantile, normal_tail
from kdsearch.stats.exact import SURE, ExactSize
from kdsearch.stats.paired import (
    PairedTest,
    crossing,
    score_statistic,
    tango_statistic,
)
from kdsearch.stats.sequential import combined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kdsearch.stats.bounded import Limits

FARTHEST = 8.0
"""Standard normals that p-values stand for are taken to be no further out."""


class PartEvidence(NamedTuple):
    """What the items of one look say, as standard normals under each hypothesised difference."""

    above: Callable[[float], float]
    """High where the difference is shown to be above the hypothesised one."""
    below: Callable[[float], float]
    """Low where it is shown to be below."""
    at_null: float
    """Of the null hypothesis, by the exact test where there is one."""
    limits: tuple[float, float]
    """Of the difference."""


def binary_evidence(
    student_only: int, teacher_only: int, items: int, margin: float
) -> PartEvidence:
    """Return the evidence of right and wrong answers, by Tango's statistic.

    At the margin it is no more than its exact p-value allows; see `exact`.
    """

    def statistic(difference: float) -> float:
        return tango_statistic(student_only, teacher_only, items, difference)

    at_null = statistic(-margin)
    if at_null > 0.0 and normal_tail(at_null) > SURE:
        size = ExactSize(student_only + teacher_only, items, margin)
        at_null = min(at_null, normal_of(size.at(at_null - 1e-9)))
    return PartEvidence(statistic, statistic, at_null, (-1.0, 1.0))


def retained_evidence(
    both: int, student_only: int, teacher_only: int, items: int, retain: float
) -> PartEvidence:
    """Return the evidence of right and wrong answers that a share is retained; its null is 0."""
    neither = items - both - student_only - teacher_only
    values, counts = (1.0 - retain, 1.0, -retain, 0.0), (both, student_only, teacher_only, neither)

    def statistic(difference: float) -> float:
        return score_statistic(values, counts, difference)

    return PartEvidence(statistic, statistic, statistic(0.0), (-retain, 1.0))


def bounded_evidence(values: Sequence[float], limits: Limits, null: float) -> PartEvidence:
    """Return the evidence of bounded differences, by the p-values of `bounded_mean_test`."""
    mirrored, turned = [-value for value in values], type(limits)(-limits.high, -limits.low)

    def above(difference: float) -> float:
        return normal_of(bounded_p_value(values, limits, difference))

    def below(difference: float) -> float:
        return -normal_of(bounded_p_value(mirrored, turned, -difference))

    return PartEvidence(above, below, above(null), (limits.low, limits.high))


def combined_test(parts: Sequence[PartEvidence], null: float, alpha: float) -> PairedTest:
    """Test whether a difference is above a null value, from the evidence of several looks.

    The statistics of the looks are combined with equal weights; see `sequential.combined`.

    Args:
        parts: Of each look, from the items that it added alone.
        null: What the difference must exceed.
        alpha: The level of the combined statistic.
    """
    critical = normal_quantile(1.0 - alpha)
    statistic = combined([part.at_null for part in parts])
    passes = statistic > critical
    lower = crossing(
        lambda value: combined([part.above(value) for part in parts]) - critical, *parts[0].limits
    )
    upper = crossing(
        lambda value: combined([part.below(value) for part in parts]) + critical, *parts[0].limits
    )
    return PairedTest(
        statistic=statistic,
        p_value=normal_tail(statistic),
        lower_bound=lower if passes else min(lower, null),
        upper_bound=upper,
        passes=passes,
    )


def normal_of(p_value: float) -> float:
    """Return the standard normal that has a one-sided p-value."""
    least = normal_tail(FARTHEST)
    return -normal_quantile(min(max(p_value, least), 1.0 - least))
