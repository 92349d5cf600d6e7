"""Quantiles and tail probabilities of the normal, beta, binomial and Student's t distributions.

The standard library has the normal one; the others follow from the regularised incomplete beta
function.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()

ITERATIONS = 300
"""Terms of the continued fraction; it converges in about sqrt(max(a, b)) of them."""

TINY = 1e-300
"""Keeps the continued fraction from dividing by zero."""


@lru_cache(maxsize=256)
def normal_quantile(probability: float) -> float:
    """Return the point that a standard normal stays below with this chance."""
    return _NORMAL.inv_cdf(probability)


def normal_tail(value: float) -> float:
    """Return the chance that a standard normal exceeds a value, exact far out too."""
    return 0.5 * math.erfc(value / math.sqrt(2.0))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    Lentz's evaluation of the continued fraction 8.17.22 of the NIST Digital Library of
    Mathematical Functions.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on the other side only
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = a * math.log(x) + b * math.log1p(-x)
    log_front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - math.log(a)
    return math.exp(log_front) * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    numerator, denominator = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    denominator = 1.0 / (denominator or TINY)
    value = denominator
    for step in range(1, ITERATIONS + int(math.sqrt(max(a, b))) * 10):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        change = 1.0
        for term in (even, odd):
            denominator = 1.0 / ((1.0 + term * denominator) or TINY)
            numerator = (1.0 + term / numerator) or TINY
            change = numerator * denominator
            value *= change
        if abs(change - 1.0) < 1e-15:
            break
    return value


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Return the chance of at least this many successes."""
    if successes <= 0:
        return 1.0
    return incomplete_beta(successes, trials - successes + 1, rate)


def t_tail(value: float, freedom: float) -> float:
    """Return the chance that Student's t with these degrees of freedom exceeds a value."""
    outer = 0.5 * incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + value * value))
    return outer if value >= 0 else 1.0 - outer


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """Return the point that Student's t stays below with this chance, by bisection."""
    if probability < 0.5:
        return -t_quantile(1.0 - probability, freedom)
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > 1.0 - probability:
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        if t_tail(middle, freedom) > 1.0 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
