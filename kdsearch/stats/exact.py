"""The exact size of Tango's test, and the critical value at which it keeps its level.

The test is asymptotic: at nominal 5 % its size reaches 6.0 % where few items disagree. The share of
items that disagree is not known, so the size is taken at its worst over a confidence interval of
that share (Berger & Boos 1994, Journal of the American Statistical Association 89:1012-1016).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kdsearch.stats.distributions import normal_quantile

SURE = 1e-4
"""The probability that the share of discordant items lies outside of its interval; it counts as
part of the level."""

SHARES = 48
"""At which the size is computed, over the interval."""

BEYOND = 1e-9
"""Probability of the discordant counts that are left out."""

HALVINGS = 16
"""Of the interval of critical values, at most 2 wide."""


@dataclass(frozen=True)
class ExactSize:
    """How often Tango's statistic passes a critical value at exactly the margin.

    Args:
        discordant: Items that were observed to disagree.
        items: All items.
        margin: How far below the teacher still matches, in 0..1.
    """

    discordant: int
    items: int
    margin: float

    def at(self, critical: float) -> float:
        """Return the size at a critical value, at its worst, with `SURE` added."""
        import numpy as np
        from scipy.special import betainc, gammaln, xlog1py, xlogy

        shares = self._shares()
        if not len(shares):
            return SURE
        counts = self._counts(shares)
        least = self._least(counts, critical)
        chance = ((shares - self.margin) / (2.0 * shares))[:, None]  # the student's, discordant
        with np.errstate(invalid="ignore"):
            passing = betainc(np.maximum(least, 1), counts - least + 1.0, chance)
        passing = np.where(least > counts, 0.0, np.where(least <= 0, 1.0, passing))
        rest, rate = self.items - counts, shares[:, None]
        choices = gammaln(self.items + 1.0) - gammaln(counts + 1.0) - gammaln(rest + 1.0)
        weights = np.exp(choices + xlogy(counts, rate) + xlog1py(rest, -rate))
        return float((weights * passing).sum(axis=1).max()) + SURE

    def critical_value(self, alpha: float) -> float:
        """Return a critical value that keeps a level, the nominal one where it does."""
        low = normal_quantile(1.0 - alpha)
        for likely in (low, normal_quantile(1.0 - max(alpha - 1.5 * SURE, alpha / 2.0))):
            if self.at(likely) <= alpha:
                return likely
        high = low + 2.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (low, middle) if self.at(middle) <= alpha else (middle, high)
        return high

    def _shares(self) -> Any:
        """Return shares of discordant items that the observed count does not exclude."""
        import numpy as np
        from scipy.special import betaincinv

        seen, items = self.discordant, self.items
        low = betaincinv(seen, items - seen + 1.0, SURE / 2.0) if seen else 0.0
        high = betaincinv(seen + 1.0, items - seen, 1.0 - SURE / 2.0) if seen < items else 1.0
        least = max(low, self.margin, 1e-12)  # at the margin at least so many disagree
        return np.linspace(least, high, SHARES) if least < high else np.empty(0)

    def _counts(self, shares: Any) -> Any:
        """Return the numbers of discordant items that may occur at these shares."""
        import numpy as np

        reach = 6.5 * np.sqrt(self.items * shares * (1.0 - shares)) + 10.0
        low = int(max(0.0, (self.items * shares - reach).min()))
        high = int(min(float(self.items), (self.items * shares + reach).max()))
        return np.arange(low, high + 1.0)

    def _least(self, counts: Any, critical: float) -> Any:
        """Return how many of the discordant items the student needs to pass; more than all: none.

        The statistic rises with the student's share of them.
        """
        import numpy as np

        low, high = np.zeros_like(counts), counts + 1.0
        while (low < high).any():
            middle = np.floor((low + high) / 2.0)
            passes = self._statistic(middle, counts - middle) > critical
            high = np.where(passes & (low < high), middle, high)
            low = np.where(~passes & (low < high), middle + 1.0, low)
        return low

    def _statistic(self, student_only: Any, teacher_only: Any) -> Any:
        """Return Tango's statistic (`paired.tango_statistic`) of many outcomes."""
        import numpy as np

        items, difference = self.items, -self.margin
        spread = difference * (1.0 - difference)
        linear = (2 * items - student_only + teacher_only) * difference
        linear = linear - student_only - teacher_only
        root = np.sqrt(np.maximum(0.0, linear**2 + 8.0 * items * teacher_only * spread))
        variance = items * (2.0 * (root - linear) / (4.0 * items) + spread)
        score = student_only - teacher_only - items * difference
        with np.errstate(divide="ignore", invalid="ignore"):
            found = score / np.sqrt(variance)
        return np.where(variance > 0.0, found, np.where(score > 1e-9, np.inf, 0.0))


@lru_cache(maxsize=4096)
def tango_critical_value(discordant: int, items: int, margin: float, alpha: float) -> float:
    """Return the critical value at which Tango's test keeps a level; see `ExactSize`."""
    return ExactSize(discordant, items, margin).critical_value(alpha)
