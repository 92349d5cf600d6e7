"""Several looks at growing data: the level of each, so that all of them together keep alpha.

Each look spends a share of alpha that was fixed before its items were answered. What a look may use
is more than its share, because it is known how looks at growing data depend on each other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from kdsearch.stats.distributions import normal_quantile, normal_tail

REACH = 8.0
"""Standard deviations, on either side, over which the statistic's density is followed."""

POINTS = 600
"""Gauss-Legendre nodes for the density: levels are exact to 1e-9 unless fewer than one item in a
thousand is new."""

HALVINGS = 50
"""Of the interval in which a critical value is sought."""


class Look(NamedTuple):
    """One analysis of all the items that were answered until then."""

    items: int
    """All independent items or units so far."""
    alpha: float
    """The share of alpha that this look spends."""


def nominal_level(looks: tuple[Look, ...]) -> float:
    """Return the level at which the last of some looks is tested.

    The critical value of each look is that at which the probability of passing there, and not
    before, is the share of alpha that it spends (Lan & DeMets 1983, Biometrika 70:659-663; Jennison
    & Turnbull 2000, chapter 19). The statistics of two looks are normal with correlation
    `sqrt(items before / items after)`.

    Raises:
        ValueError: If there is no look, or one has no more items than the look before it.
    """
    if not looks:
        raise ValueError("there is no look")
    if any(later.items <= earlier.items for earlier, later in pairwise(looks)):
        raise ValueError("every look needs more items than the look before it")
    return _levels(looks)[-1]


@lru_cache(maxsize=256)
def _levels(looks: tuple[Look, ...]) -> tuple[float, ...]:
    import numpy as np

    first, *later = looks
    critical = normal_quantile(1.0 - first.alpha)
    levels = [first.alpha]
    grid, weights = _nodes(critical)
    mass: Any = weights * np.exp(-0.5 * grid**2) / math.sqrt(2.0 * math.pi)
    before = first.items
    for place, look in enumerate(later):
        share = before / look.items
        critical = _critical(grid, mass, share, look.alpha)
        levels.append(normal_tail(critical))
        if place < len(later) - 1:
            further, weights = _nodes(critical)
            steps = (further[:, None] - math.sqrt(share) * grid) / math.sqrt(1.0 - share)
            kernel = np.exp(-0.5 * steps**2) / math.sqrt(2.0 * math.pi * (1.0 - share))
            grid, mass = further, weights * (kernel @ mass)
        before = look.items
    return tuple(levels)


def _nodes(critical: float) -> tuple[Any, Any]:
    """Return nodes and weights over the values that a statistic has short of a critical one."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    half = (critical + REACH) / 2.0
    return half * nodes + (critical - REACH) / 2.0, half * weights


def _critical(grid: Any, mass: Any, share: float, alpha: float) -> float:
    """Return the critical value that is first passed now with probability alpha."""
    from scipy.special import ndtr

    low, high = -REACH, REACH
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        passing = ndtr((math.sqrt(share) * grid - middle) / math.sqrt(1.0 - share))
        if passing @ mass > alpha:
            low = middle
        else:
            high = middle
    return high
