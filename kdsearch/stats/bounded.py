"""A test and bounds for the mean of values that lie between known limits, however distributed.

It serves graded scores, items that come in units, and retained shares. A sample without variance
is no evidence: the bounds never collapse to the point estimate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.stats.distributions import normal_quantile
from kdsearch.stats.paired import PairedTest

if TYPE_CHECKING:
    from collections.abc import Sequence

HALVINGS = 30
"""Of an interval at most 2 wide: bounds are exact to 2e-9."""

PRECISION = 1e-10
"""Of a p-value, absolute."""

REACH = (10.0, 40.0)
"""Standard deviations, and largest weights, beyond which a weighted sum is not looked at; what
lies there has a probability below `PRECISION`."""


class Limits(NamedTuple):
    """The smallest and the largest value that is possible."""

    low: float
    high: float


def paired_limits(retain: float | None) -> Limits:
    """Return the limits of `student - teacher`, or of `student - retain * teacher`."""
    return Limits(-1.0 if retain is None else -retain, 1.0)


def bounded_mean_test(
    values: Sequence[float], limits: Limits, null: float, confidence: float
) -> PairedTest:
    """Test whether the mean of independent bounded values is above a null value.

    Null hypothesis: the mean is at most `null`. The bound of Gaffke (2005, Mathematical Methods of
    Statistics 14:451-467): the values and the lower limit get weights drawn evenly from all that
    sum to one, and the p-value is the probability that the weighted mean is at most `null`. Of
    right and wrong answers it is the bound of Clopper and Pearson (1934); of many values it is as
    narrow as Student's t. Its level is proven for two-point distributions, and no distribution is
    known that breaks it (Learned-Miller & Thomas 2019, arXiv:1905.06208); `benchmarks.level`
    simulates the designs met here.

    Args:
        values: One for each independent item or unit.
        limits: Between which every value lies.
        null: What the mean must exceed.
        confidence: One minus the probability of a false pass, and of each bound being wrong.

    Returns:
        The test; its statistic is the standard normal that has the same p-value.

    Raises:
        ValueError: If there is no value, or one lies beyond the limits.
    """
    import numpy as np

    found, counts = _distinct(values, limits)
    p_value, alpha = _p_value(found, counts, limits.low, null), 1.0 - confidence

    def too_high(mean: float) -> bool:
        return _p_value(found, counts, limits.low, mean) > alpha

    def too_low(mean: float) -> bool:
        return _p_value(-found[::-1], counts[::-1], -limits.high, -mean) > alpha

    mean = float(np.dot(found, counts) / counts.sum())
    lower = _first(too_high, limits.low, mean)
    upper = -_first(lambda value: too_low(-value), -limits.high, -mean)
    return PairedTest(
        statistic=-normal_quantile(min(max(p_value, 1e-300), 1.0 - 1e-16)),
        p_value=p_value,
        lower_bound=lower,
        upper_bound=upper,
        passes=p_value < alpha,
    )


def bounded_p_value(values: Sequence[float], limits: Limits, null: float) -> float:
    """Return the p-value of `bounded_mean_test`, without its bounds, which cost 60 times as much.

    Raises:
        ValueError: If there is no value, or one lies beyond the limits.
    """
    return _p_value(*_distinct(values, limits), limits.low, null)


def _distinct(values: Sequence[float], limits: Limits) -> tuple[Any, Any]:
    """Return the distinct values in ascending order, and how often each occurs."""
    import numpy as np

    if not len(values):
        raise ValueError("needs at least one value")
    found, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    if found[0] < limits.low - 1e-9 or found[-1] > limits.high + 1e-9:
        raise ValueError(f"values from {found[0]} to {found[-1]} lie beyond {tuple(limits)}")
    return found, counts


def _first(true: Any, low: float, high: float) -> float:
    """Return from where on a statement about a mean is true, by halving."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if true(middle) else (middle, high)
    return low


def _p_value(values: Any, counts: Any, low: float, null: float) -> float:
    """Return the probability that the weighted mean of values and lower limit is at most `null`.

    Even weights are independent exponentials over their sum, so that it is the probability that
    `sum of exponential * (value - null)` is at most 0. Its characteristic function is inverted by
    the formula of Gil-Pelaez (1951) on the lattice of Davies (1980, Applied Statistics 29:323-333).

    Args:
        values: Distinct, ascending.
        counts: How often each occurs.
        low: The lower limit, one more value.
        null: The hypothesised mean.
    """
    import numpy as np

    offsets, shapes = np.append(values - null, low - null), np.append(counts, 1)
    offsets, shapes = offsets[offsets != 0.0], shapes[offsets != 0.0]
    if not (offsets > 0.0).any():
        return 1.0
    if not (offsets < 0.0).any():
        return 0.0
    mean, deviation = float(shapes @ offsets), math.sqrt(float(shapes @ offsets**2))
    width = abs(mean) + REACH[0] * deviation + REACH[1] * float(np.abs(offsets).max())
    step = 2.0 * math.pi / width
    total, start, block = 0.0, 0, 256
    while True:
        places = np.arange(start, start + block) + 0.5
        products = np.outer(places * step, offsets)
        size = np.exp(-0.5 * np.log1p(products**2) @ shapes)
        total += float((size * np.sin(np.arctan(products) @ shapes) / places).sum())
        start += block
        if size[-1] < PRECISION or start > 200_000:
            break
    return min(1.0, max(0.0, 0.5 - total / math.pi))
