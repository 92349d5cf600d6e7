"""How many items a decision needs, and which margins given items support.

All by the normal approximation of the paired difference: its variance over n items is psi / n,
psi being the share of items on which student and teacher disagree (Lachin 1992).
"""

from __future__ import annotations

import math

from kdsearch.stats.distributions import normal_quantile, normal_tail

POWER = 0.8
"""The chance of confirming a student that equals its teacher, unless another is asked for."""

DISAGREEMENTS = (0.08, 0.16, 0.30)
"""Shares of discordant items that a plan is judged by, before any is observed."""


def smallest_supported_margin(
    items: int, disagreement: float, alpha: float, power: float = POWER
) -> float:
    """Return the smallest margin at which a student equal to its teacher would be confirmed.

    Args:
        items: Independent items.
        disagreement: Share of items that exactly one of student and teacher has right.
        alpha: The chance of a false match.
        power: The chance of a match when both are equal.
    """
    return _quantiles(alpha, power) * math.sqrt(disagreement / items)


def items_for_margin(margin: float, disagreement: float, alpha: float, power: float = POWER) -> int:
    """Return the items that a margin needs when student and teacher are equal."""
    return math.ceil((_quantiles(alpha, power) / margin) ** 2 * disagreement)


def variance_of(lower_bound: float, upper_bound: float, items: int, alpha: float) -> float:
    """Return the variance of one item's difference that bounds at `1 - alpha` amount to."""
    error = (upper_bound - lower_bound) / (2.0 * normal_quantile(1.0 - alpha))
    return error**2 * items


def power_of(
    items: int, margin: float, difference: float, disagreement: float, alpha: float
) -> float:
    """Return the chance of a match when student and teacher differ by `difference`."""
    deviation = math.sqrt(max(disagreement - difference**2, 1e-12) / items)
    return normal_tail(normal_quantile(1.0 - alpha) - (margin + difference) / deviation)


def _quantiles(alpha: float, power: float) -> float:
    return normal_quantile(1.0 - alpha) + normal_quantile(power)
