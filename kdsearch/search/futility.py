"""Whether a running trial can still pass: a forecast from its own reports alone.

Trials of other sizes are never compared with it, which would stop the small ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.evidence import Evidence, expected_at_the_bar, weigh_progress
from kdsearch.stats.distributions import normal_tail, t_tail

if TYPE_CHECKING:
    from kdsearch.events import TrialProgress
    from kdsearch.search.rules import Rules
    from kdsearch.stats.spread import Spread

LEAST_CHANCE = 0.05
"""Below it a trial is stopped."""

PATIENCE = 0.7
"""Share of the training up to which a trial that will not pass goes on until a match is excluded.

It turns most `undecided` into `no_match` for 0.3 % of the grid."""

LEAST_REPORTS = 3
"""A curve has three unknowns."""

LEAST_ENDED = 3
"""Configurations from which on a size may be given up before all of them have ended."""

RATES = (1.5, 2.5, 4.0, 6.0, 9.0, 14.0)
"""How fast a curve may approach its end, per whole training: from nearly straight to a step."""

END = 0.1
"""Prior deviation of a curve's end from the teacher: generous to a student that lags."""

RISE = 1.0
"""Prior deviation of what is learnt in the whole training: it says nothing."""

OWN = 0.5
"""Share of a report's sampling variance that the end does not share: both answer the same items."""

JITTER = 0.003
"""Deviation of a score between neighbouring reports that is not the sampling of items."""


class Curve:
    """A trial's learning curve so far, and where it may end.

    The difference from the teacher is taken to be `end - rise * exp(-rate * t)` with normal noise,
    t the share of training done: for each rate a Bayesian linear regression, the rates weighed by
    how well they explain the reports (after Domhan et al. 2015, with one family of curves).
    """

    def __init__(self) -> None:
        self.reports = 0
        self.last_share = -1.0
        self._weight = END**-2
        self._value = 0.0
        self._sums = [(0.0, RISE**-2, 0.0) for _ in RATES]

    def add(self, share: float, difference: float, variance: float) -> bool:
        """Take in a report; one that is not later than the last is passed over.

        Args:
            share: Of the steps, done.
            difference: Student minus teacher on dev.
            variance: Of that difference, from the sampling of items.

        Returns:
            Whether the report was new.
        """
        if share <= self.last_share:
            return False
        self.last_share = share
        self.reports += 1
        weight = 1.0 / (OWN * variance + JITTER**2)
        self._weight += weight
        self._value += weight * difference
        for place, rate in enumerate(RATES):
            feature = -math.exp(-rate * share)
            cross, square, value = self._sums[place]
            scaled = weight * feature
            self._sums[place] = (
                cross + scaled,
                square + scaled * feature,
                value + scaled * difference,
            )
        return True

    def outlook(self) -> Outlook:
        """Return where the curve may end."""
        evidences, ends = [], []
        for rate, (cross, square, value) in zip(RATES, self._sums, strict=True):
            determinant = self._weight * square - cross * cross
            end = (square * self._value - cross * value) / determinant
            rise = (self._weight * value - cross * self._value) / determinant
            evidences.append(0.5 * (self._value * end + value * rise) - 0.5 * math.log(determinant))
            feature = -math.exp(-rate)
            doubt = (square - 2.0 * feature * cross + feature**2 * self._weight) / determinant
            ends.append((end + feature * rise, doubt))
        best = max(evidences)
        weights = [math.exp(evidence - best) for evidence in evidences]
        total = math.fsum(weights)
        return Outlook([(weight / total, *end) for weight, end in zip(weights, ends, strict=True)])


class Outlook(NamedTuple):
    """The end of a curve: a mixture of normal distributions, one for each rate."""

    parts: list[tuple[float, float, float]]
    """Weight, mean and variance."""

    @property
    def expected(self) -> float:
        """The mean of the end."""
        return sum(weight * mean for weight, mean, _ in self.parts)

    def chance(self, value: float, variance: float) -> float:
        """Return the chance that the end, blurred by some variance, reaches a value."""
        blur = variance + JITTER**2
        return sum(
            weight * normal_tail((value - mean) / math.sqrt(doubt + blur))
            for weight, mean, doubt in self.parts
        )


def chance_of_more(distances: Spread, more: int) -> float:
    """Return an upper limit of the chance that any further configuration of a size passes.

    The distances of those that ended predict the next by Student's t; a union bound joins them.

    Args:
        distances: How far those that ended, at least two, did so above what was required.
        more: Configurations not yet ended.
    """
    count = distances.values
    deviation = math.hypot(distances.deviation, JITTER) * math.sqrt(1.0 + 1.0 / count)
    return min(1.0, more * t_tail(-distances.mean / deviation, count - 1))


class Forecast(NamedTuple):
    """Why a trial should stop."""

    evidence: Evidence
    """Of the last report; `below` says whether the upper bound of the end is below the bar."""
    expected: float
    """The difference to expect at the end."""
    chance: float
    """Of passing."""
    share: float
    """Of the training, done."""

    @property
    def reason(self) -> str:
        """One sentence."""
        return (
            f"{FUTILE}: dev {self.evidence.score:.3f} after {self.share:.0%} of its steps, "
            f"a {self.chance:.1%} chance to reach {self.evidence.required_score:.3f}"
        )


FUTILE = "futile"
"""How the reason of a futile trial's stop begins; a replay knows it by that."""


class Watch:
    """The curves of the trials of a search, and which of them are futile."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._curves: dict[str, Curve] = {}

    def report(self, event: TrialProgress) -> Forecast | None:
        """Take in a report of dev; return a forecast if the trial has too small a chance."""
        evidence = weigh_progress(event, self.rules)
        share = event.step / max(1, event.total_steps)
        if evidence is None or share >= 1.0:
            return None
        curve = self._curves.setdefault(event.trial or "", Curve())
        new = curve.add(share, evidence.difference, evidence.square / evidence.items)
        if not new or curve.reports < LEAST_REPORTS:
            return None
        end = expected_at_the_bar(evidence, self.rules)
        outlook, variance = curve.outlook(), end.square / end.items
        chance = outlook.chance(end.required, OWN * variance)
        if chance >= LEAST_CHANCE:
            return None
        alpha = 1.0 - self.rules.confidence
        below = outlook.chance(self.rules.bar, variance) < alpha
        if not below and share < PATIENCE:
            return None
        last = evidence._replace(required=end.required, below=below)
        return Forecast(last, outlook.expected, chance, share)
