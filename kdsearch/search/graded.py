"""Paired tests for graded scores, for items that come in units, and for several seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.distributions import t_quantile, t_tail
from kdsearch.search.statistics import PairedTest

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

SMALLEST_SEEDS = 3
"""Fewer say too little of how a recipe varies: at two, t's quantile is 6.3."""


class Spread(NamedTuple):
    """The mean of a sample and its standard deviation."""

    mean: float
    deviation: float
    values: int


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation (n - 1); the deviation of one value is 0."""
    count = len(values)
    mean = math.fsum(values) / count
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / max(1, count - 1)), count)


def unit_means(values: Sequence[float], units: Sequence[Hashable]) -> list[float]:
    """Average items of one unit, which are not independent; in order of first appearance."""
    grouped: dict[Hashable, list[float]] = {}
    for value, unit in zip(values, units, strict=True):
        grouped.setdefault(unit, []).append(value)
    return [math.fsum(group) / len(group) for group in grouped.values()]


def paired_t_test(differences: Sequence[float], margin: float, confidence: float) -> PairedTest:
    """Test whether the mean of paired differences is above `-margin`, by Student's t.

    Null hypothesis: the mean is at most `-margin`. Its error rate is nominal for normal means,
    and close to it from about 30 independent values on.

    Args:
        differences: Student minus teacher (or minus the share to retain), a value for each
            independent item or unit.
        margin: How far below zero still matches.
        confidence: One minus the chance of a false match, and of each bound being wrong.

    Raises:
        ValueError: If there are fewer than two values.
    """
    return t_test_of(spread_of(differences), margin, confidence)


def t_test_of(spread: Spread, margin: float, confidence: float) -> PairedTest:
    """Test as `paired_t_test` does, given mean and deviation."""
    if spread.values < 2:
        raise ValueError(f"a t-test needs at least two values, not {spread.values}")
    error = spread.deviation / math.sqrt(spread.values)
    distance = spread.mean + margin
    if error == 0.0:
        statistic = math.copysign(math.inf, distance) if distance else 0.0
        p_value = 0.5 if distance == 0.0 else float(distance < 0.0)
        return PairedTest(statistic, p_value, spread.mean, spread.mean, distance > 0.0)
    quantile = t_quantile(confidence, spread.values - 1)
    statistic = distance / error
    return PairedTest(
        statistic=statistic,
        p_value=t_tail(statistic, spread.values - 1),
        lower_bound=spread.mean - quantile * error,
        upper_bound=spread.mean + quantile * error,
        passes=statistic > quantile,
    )


def seeds_test(seed_means: Sequence[float], margin: float, confidence: float) -> PairedTest:
    """Test whether a recipe, not one checkpoint, matches at its size.

    Null hypothesis: the mean difference over seeds is at most `-margin`. A one-sided t over the
    seeds' means: a two-level bootstrap with 3 to 5 seeds gives 11-19 % false matches.

    Args:
        seed_means: For each seed the mean difference over confirm; every seed that was trained,
            never a selection.
        margin: How far below zero still matches.
        confidence: One minus the chance of a false match.

    Raises:
        ValueError: If there are fewer than three seeds.
    """
    if len(seed_means) < SMALLEST_SEEDS:
        raise ValueError(f"needs at least {SMALLEST_SEEDS} seeds, not {len(seed_means)}")
    return paired_t_test(seed_means, margin, confidence)
