"""The tests of a match without their bounds, and the rules that kdsearch had before them.

Simulated searches need to know whether a test passes, thousands of times. These say exactly what
the package's own tests say of that: `tests/benchmarks/test_level.py` compares them.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import numpy as np
from scipy.optimize import brentq

from kdsearch.search import confirm, ledger, route
from kdsearch.search.route import Route
from kdsearch.stats import seeds
from kdsearch.stats.bounded import Limits, bounded_p_value
from kdsearch.stats.distributions import normal_quantile, t_quantile
from kdsearch.stats.exact import ExactSize
from kdsearch.stats.paired import NOTHING, PairedTest, score_statistic, tango_statistic
from kdsearch.stats.sequential import combined
from kdsearch.stats.spread import spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdsearch.search.confirm import Level, Scores
    from kdsearch.search.rules import Rules
    from kdsearch.stats.looks import PartEvidence

Patch = tuple[Any, str, Any]
"""An object, its attribute's name, and what takes its place."""


class Method(NamedTuple):
    """How searches are tested."""

    patches: tuple[Patch, ...]
    former: bool = False
    """Every opening spends all of alpha anew, and the seed that dev chose by is tested too."""


@contextmanager
def installed(method: Method) -> Iterator[None]:
    """Let the package test by a method."""
    with ExitStack() as stack:
        for target, name, value in method.patches:
            stack.enter_context(patch.object(target, name, value))
        yield


def quick_tango(
    student_only: int, teacher_only: int, items: int, margin: float, confidence: float
) -> PairedTest:
    """Decide as `exact_tango_test` does."""
    statistic = tango_statistic(student_only, teacher_only, items, -margin)
    alpha, reach = round(1.0 - confidence, 12), abs(statistic)
    extreme = reach > normal_quantile(confidence) and _exact(
        student_only + teacher_only, items, margin, reach, alpha
    )
    return _decision(extreme and statistic > 0.0, extreme and statistic < 0.0, -statistic)


@lru_cache(maxsize=100_000)
def _exact(discordant: int, items: int, margin: float, reach: float, alpha: float) -> bool:
    """Return whether a statistic is beyond the exact critical value, without seeking that."""
    return ExactSize(discordant, items, margin).at(reach - NOTHING) <= alpha


def quick_retain(
    both: int, student_only: int, teacher_only: int, items: int, retain: float, confidence: float
) -> PairedTest:
    """Decide as `retain_test` does."""
    values = (1.0 - retain, 1.0, -retain, 0.0)
    counts = (both, student_only, teacher_only, items - both - student_only - teacher_only)
    statistic, critical = score_statistic(values, counts, 0.0), normal_quantile(confidence)
    return _decision(statistic > critical, statistic < -critical, -statistic)


def quick_bounded(
    values: Sequence[float], limits: Limits, null: float, confidence: float
) -> PairedTest:
    """Decide as `bounded_mean_test` does."""
    alpha, mean = 1.0 - confidence, math.fsum(values) / len(values)
    if mean > null:
        p_value = bounded_p_value(values, limits, null)
        return _decision(p_value < alpha, False, p_value)
    mirrored = Limits(-limits.high, -limits.low)
    opposite = bounded_p_value([-value for value in values], mirrored, -null)
    return _decision(False, opposite < alpha, 1.0 - opposite)


def quick_lower_bound(
    values: Sequence[float], limits: Limits, null: float, confidence: float
) -> PairedTest:
    """Return the lower bound of `bounded_mean_test` where it is above the null, else the null.

    A recipe's bound is no higher than this, so that it passes with neither or by the bound itself;
    none is ever excluded.
    """
    alpha, mean = 1.0 - confidence, math.fsum(values) / len(values)

    def excess(hypothesised: float) -> float:
        return bounded_p_value(values, limits, hypothesised) - alpha

    passes = mean > null and excess(null) < 0.0
    low = float(brentq(excess, null, mean, xtol=1e-9)) if passes else null
    return PairedTest(math.nan, math.nan, low, limits.high, passes)


def quick_noise(differences: Sequence[Sequence[float]]) -> float:
    """Return what `seeds._noise` does."""
    values = np.asarray(differences)
    seeds, items = values.shape
    centred = values - values.mean(axis=1, keepdims=True)
    rest = centred - centred.mean(axis=0)
    return float((rest**2).sum() / ((seeds - 1) * (items - 1)) / items)


def quick_unit_means(values: Sequence[float], units: Sequence[int]) -> list[float]:
    """Average as `unit_means` does, where units are numbered in their order."""
    places = np.asarray(units) - units[0]
    sums: list[float] = (np.bincount(places, weights=values) / np.bincount(places)).tolist()
    return sums


def quick_combined(parts: Sequence[PartEvidence], null: float, alpha: float) -> PairedTest:
    """Decide as `combined_test` does, but exclude nothing."""
    statistic = combined([part.at_null for part in parts])
    return _decision(statistic > normal_quantile(1.0 - alpha), False, -statistic)


def former_test(
    scores: Scores, rules: Rules, alpha: float, batches: Sequence[Sequence[int]] = ()
) -> PairedTest:
    """Test by what `paired_test` was: Tango's test at its nominal level, and t-tests."""
    kept, confidence = 1.0 if rules.retain is None else rules.retain, 1.0 - alpha
    values = [
        [own - kept * other for own, other in zip(student, scores.teacher, strict=True)]
        for student in scores.students
    ]
    units = scores.units
    if units is not None:
        values = [quick_unit_means(each, units) for each in values]  # type: ignore[arg-type]  # numbered here
    if len(values) > 1:
        return _t_decision(values, rules.bar, confidence)
    if units is not None or not {*scores.students[0], *scores.teacher} <= {0.0, 1.0}:
        return _t_decision(values, rules.bar, confidence)
    pairs = list(zip(scores.students[0], scores.teacher, strict=True))
    b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
    if rules.retain is not None:
        return quick_retain(pairs.count((1.0, 1.0)), b, c, len(pairs), kept, confidence)
    statistic = tango_statistic(b, c, len(pairs), rules.bar)
    quantile = normal_quantile(confidence)
    return _decision(statistic > quantile, statistic < -quantile, -statistic)


def _t_decision(values: Sequence[Sequence[float]], bar: float, confidence: float) -> PairedTest:
    """Test by Student's t; over several seeds with the freedom of Satterthwaite (1946)."""
    count = len(values)
    items = spread_of([math.fsum(each) / count for each in zip(*values, strict=True)])
    between = spread_of([math.fsum(each) / len(each) for each in values])
    own, shared = between.deviation**2 / count, items.deviation**2 / items.values
    variance, distance = own + shared, items.mean - bar
    if variance == 0.0:
        return _decision(distance > 0.0, distance < 0.0, -distance)
    weights = shared**2 / (items.values - 1) + (own**2 / (count - 1) if count > 1 else 0.0)
    reach = t_quantile(confidence, variance**2 / weights) * math.sqrt(variance)
    return _decision(distance > reach, distance < -reach, -distance / math.sqrt(variance))


def _decision(passes: bool, excluded: bool, p_value: float) -> PairedTest:
    """Return a test of which only the verdict is meant; larger p-values speak less for a match."""
    return PairedTest(-p_value, p_value, -1.0, -1.0 if excluded else 1.0, passes)


def _undivided(level: Level) -> float:
    return level.alpha


def _former_share(self: Any, position: int) -> str:
    """Give half of alpha to the candidate, the other half evenly to the larger sizes."""
    alpha, larger = self.rules.alpha, len(self.names) - 1 - self._candidate
    share = alpha / 2.0 if position == self._candidate else alpha / (2.0 * max(1, larger))
    self.shares[position] = share if larger else alpha
    self.focus, self.awaiting = None, position
    return f"confirm tests {self.names[position]}"


FORMER_SEARCH: tuple[Patch, ...] = (
    (Route, "_test", _former_share),
    (route, "LEAST_HOPE", 2.0),
)
"""Fixed shares of alpha, and no test where no size passes on dev."""

NOW = Method((
    (confirm, "exact_tango_test", quick_tango),
    (confirm, "retain_test", quick_retain),
    (confirm, "bounded_mean_test", quick_bounded),
    (confirm, "combined_test", quick_combined),
    (confirm, "unit_means", quick_unit_means),
    (seeds, "bounded_mean_test", quick_lower_bound),
    (seeds, "_noise", quick_noise),
    (seeds, "_p_value", lambda *_: 0.5),
    (ledger, "FileLock", lambda *_, **__: nullcontext()),  # nobody else writes there
))  # fmt: skip
"""What the package does."""

FORMER = Method(
    (
        (confirm, "paired_test", former_test),
        (confirm, "unit_means", quick_unit_means),
        (confirm.Level, "nominal", property(_undivided)),
        *FORMER_SEARCH,
    ),
    former=True,
)
"""What it did before."""
