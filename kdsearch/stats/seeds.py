"""Whether a recipe, not one checkpoint, matches at its size: several seeds, the same items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdsearch.stats.bounded import Limits, bounded_mean_test
from kdsearch.stats.distributions import normal_quantile, t_quantile
from kdsearch.stats.paired import PairedTest
from kdsearch.stats.spread import spread_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_SEEDS = 3
"""Fewer say too little of how a recipe varies: at two, t's quantile is 6.3."""

HALVINGS = 60
"""Of the interval in which a p-value is sought."""


def recipe_test(
    differences: Sequence[Sequence[float]], limits: Limits, null: float, confidence: float
) -> PairedTest:
    """Test whether the mean difference over seeds and items is above a null value.

    Null hypothesis: that mean is at most `null`, for seeds drawn at random. All seeds answer the
    same items, so that two kinds of luck add up: of the seeds, taken as normal, with Student's t at
    one degree of freedom less than there are seeds; and of the items, by `bounded_mean_test`, which
    assumes nothing. The two reaches are added as squares (Graybill & Wang 1980, Journal of the
    American Statistical Association 75:869-873): exact where either luck is alone, conservative
    between. Satterthwaite's degrees of freedom, in its place, give up to 10 % false matches at a
    nominal 5 % (simulated: 3 and 5 seeds; `benchmarks.level` prints this test's).

    Args:
        differences: For each seed a value for each independent item or unit; every fresh seed that
            was trained, never a selection, and not the one that dev chose the recipe by.
        limits: Between which every value lies.
        null: What the mean must exceed.
        confidence: One minus the probability of a false pass, and of each bound being wrong.

    Raises:
        ValueError: If there are fewer than three seeds.
    """
    seeds = len(differences)
    if seeds < SMALLEST_SEEDS:
        raise ValueError(f"needs at least {SMALLEST_SEEDS} seeds, not {seeds}")
    over_seeds = [math.fsum(values) / seeds for values in zip(*differences, strict=True)]
    items = bounded_mean_test(over_seeds, limits, null, confidence)
    between = spread_of([math.fsum(values) / len(values) for values in differences])
    mean, variance = between.mean, max(between.deviation**2, _noise(differences)) / seeds
    low, high = mean - items.lower_bound, items.upper_bound - mean
    own = t_quantile(confidence, seeds - 1.0) ** 2 * variance
    p_value = _p_value(mean - null, variance, low / normal_quantile(confidence), seeds - 1.0)
    lower = max(limits.low, mean - math.sqrt(own + low**2))
    return PairedTest(
        statistic=-normal_quantile(min(max(p_value, 1e-300), 1.0 - 1e-16)),
        p_value=p_value,
        lower_bound=lower,
        upper_bound=min(limits.high, mean + math.sqrt(own + high**2)),
        passes=lower > null,
    )


def _noise(differences: Sequence[Sequence[float]]) -> float:
    """Return the variance of a seed's mean that its own answers alone give it.

    Seeds whose means agree by chance are no proof that seeds do not vary.
    """
    seeds, items = len(differences), len(differences[0])
    if items < 2:
        return 0.0
    means = [math.fsum(values) / items for values in differences]
    squares = 0.0
    for column in zip(*differences, strict=True):
        centred = [value - mean for value, mean in zip(column, means, strict=True)]
        middle = math.fsum(centred) / seeds
        squares += math.fsum((value - middle) ** 2 for value in centred)
    return squares / ((seeds - 1) * (items - 1)) / items


def _p_value(distance: float, variance: float, error: float, freedom: float) -> float:
    """Return the level at which the lower bound is just at the null.

    Args:
        distance: From the null up to the mean.
        variance: Of the mean, by the luck of the seeds.
        error: Standard error by the luck of the items.
        freedom: Degrees of freedom between seeds.
    """
    if distance <= 0.0:
        return 1.0 - _p_value(-distance, variance, error, freedom) if distance < 0.0 else 0.5
    low, high = 1e-12, 0.5
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        own = t_quantile(1.0 - middle, freedom) ** 2 * variance
        if math.sqrt(own + (normal_quantile(1.0 - middle) * error) ** 2) > distance:
            low = middle
        else:
            high = middle
    return high
