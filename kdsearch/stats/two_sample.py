"""Whether two samples of different items have the same rate, up to a tolerance."""

from __future__ import annotations

import math
from typing import NamedTuple

from kdsearch.stats.distributions import normal_tail

BISECTIONS = 60
"""Halvings of an interval at most 1 wide: the rate is exact to 1e-18."""

TINY = 1e-300
"""Keeps a rate of 0 or 1 from dividing by zero."""


class Rate(NamedTuple):
    """What a sample of independent items scored."""

    right: float
    """Right answers, or the sum of scores in 0..1."""
    items: int


def shift_p_value(first: Rate, second: Rate, tolerance: float) -> float:
    """Return the two-sided p-value of two rates differing by more than a tolerance.

    Null hypothesis: the true rates differ by at most `tolerance`, 0 or more. The score test of
    two independent rates (Miettinen & Nurminen 1985; Farrington & Manning 1990) at the nearest
    difference that is tolerated, doubled. A difference within the tolerance gives 1. Scores in
    0..1 vary at most as much as right and wrong answers of the same mean, so that graded scores
    and means of units give a p-value that is too large rather than too small. Its error rate is
    asymptotic; enumerated at the level .001 for equal rates of .5 to .98 and 30 to 120 items a
    sample, it is at most .00097 at tolerance 0 and .0004 at .03.

    Args:
        first: The one sample.
        second: The other one; no item is in both.
        tolerance: The difference that does not count.
    """
    higher, lower = sorted((first, second), key=lambda rate: -rate.right / rate.items)
    beyond = higher.right / higher.items - lower.right / lower.items - tolerance
    if beyond <= 0.0:
        return 1.0
    base = _constrained(higher, lower, tolerance)
    variance = sum(
        rate * (1.0 - rate) / sample.items
        for rate, sample in ((base + tolerance, higher), (base, lower))
    )
    return min(1.0, 2.0 * normal_tail(beyond / math.sqrt(variance))) if variance > 0.0 else 0.0


def _constrained(higher: Rate, lower: Rate, tolerance: float) -> float:
    """Return the most likely lower rate where the higher one is `tolerance` above it."""
    low, high = 0.0, 1.0 - tolerance
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        slope = sum(
            sample.right / max(rate, TINY) - (sample.items - sample.right) / max(1.0 - rate, TINY)
            for rate, sample in ((middle + tolerance, higher), (middle, lower))
        )
        low, high = (middle, high) if slope > 0.0 else (low, middle)
    return (low + high) / 2.0
