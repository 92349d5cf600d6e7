"""Quantiles and tail probabilities of the normal, binomial and Student's t distributions.

The normal one is the standard library's; the others are scipy's, imported when first asked for.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()


@lru_cache(maxsize=256)
def normal_quantile(probability: float) -> float:
    """Return the point that a standard normal stays below with this probability."""
    return _NORMAL.inv_cdf(probability)


def normal_tail(value: float) -> float:
    """Return the probability that a standard normal exceeds a value, exact far out too."""
    return 0.5 * math.erfc(value / math.sqrt(2.0))


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Return the probability of at least this many successes."""
    from scipy.special import betainc

    if successes <= 0:
        return 1.0
    return float(betainc(successes, trials - successes + 1, rate))


def t_tail(value: float, freedom: float) -> float:
    """Return the probability that Student's t with these degrees of freedom exceeds a value."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -value))


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """Return the point that Student's t stays below with this probability."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
