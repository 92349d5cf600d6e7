"""The way through the ladder: which size is trained, which is tested, and what follows.

Knows sizes by position and what dev and confirm found of them; nothing of trials.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.futility import LEAST_ENDED
from kdsearch.search.order import Visit, next_size, upward
from kdsearch.search.scaling import NOISE
from kdsearch.spec.models import Strategy
from kdsearch.stats.paired import alpha_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.search.rules import Rules, SizeCost

TRIALS_TO_PASS = 2.0
"""Configurations that a passing size trains on average, where there are several to choose from."""

FUTILE_SHARE = 0.55
"""Of its training that a futile trial does on average."""

INVERSION = 3.0
"""Standard errors by which a larger size must be worse before sizes stop being taken as ordered."""


class Finding(NamedTuple):
    """What dev found of a size."""

    passed: bool
    difference: float | None
    """Of its best trial at its end; None where no trial gave a score."""
    required: float
    variance: float
    """Of the difference, from the sampling of items."""

    @property
    def distance(self) -> float | None:
        """How far the difference lies above what was required."""
        return None if self.difference is None else self.difference - self.required


class Step(NamedTuple):
    """What follows a decision."""

    then: str
    """In words."""
    declared: tuple[int, ...] = ()
    """Sizes that confirm may test, if it is opened now."""


class Route:
    """The sizes visited so far, the one under way, and the ones to come.

    Args:
        sizes: In ascending order.
        rules: The strategy, and how trials end.
    """

    def __init__(self, sizes: Sequence[SizeCost], rules: Rules) -> None:
        self.names = [size.name for size in sizes]
        self.rules = rules
        self.visited: list[int] = []
        self.findings: dict[int, Finding] = {}
        self.focus: int | None = None
        """The size that is being trained."""
        self.awaiting: int | None = None
        """The size that confirm is to test."""
        self.shares: dict[int, float] = {}
        """The share of alpha of each declared size, once confirm is opened."""
        self.scanning = False
        """A larger size did worse than a smaller one: sizes are no longer taken as ordered."""
        self._visits = [_expected_visit(size, rules) for size in sizes]
        self._visit(next_size(rules.strategy, self._visits, set(), {}))

    @property
    def answered(self) -> bool:
        """Whether nothing is left to train or to test."""
        return self.focus is None and self.awaiting is None

    def after_dev(self, finding: Finding) -> Step:
        """Go on from the size under way, which dev has decided."""
        position = self.focus
        if position is None:
            raise ValueError("no size is under way")
        self.findings[position] = finding
        if self.shares:
            return self._after_climb(position, finding)
        inverted = not finding.passed and not self.scanning and self._inverted()
        self.scanning |= inverted
        following = self._following(self.findings)
        self._visit(following)
        if following is not None:
            note = "larger sizes do worse, so the others are tried upward: " if inverted else ""
            return Step(f"{note}next {self.names[following]}")
        winners = [place for place, finding in self.findings.items() if finding.passed]
        if not winners:
            return Step("no size is left to try")
        return self._open(min(winners))

    def after_confirm(self, matched: bool) -> str:
        """Go on from the size that confirm has tested."""
        position, self.awaiting = self.awaiting, None
        if matched or position is None:
            return "the search is over"
        return self._climb(position)

    def ahead(self) -> list[int]:
        """Return sizes that may come next, whatever the one under way turns out to be."""
        if self.focus is None:
            return []
        if self.shares:
            larger = range(self.focus + 1, len(self.names))
            return [place for place in larger if place not in self.findings][:1]
        found = set()
        for passed in (True, False):
            guess = self.findings | {self.focus: Finding(passed, None, 0.0, 0.0)}
            following = self._following(guess)
            if following is not None:
                found.add(following)
        return sorted(found)

    def _visit(self, position: int | None) -> None:
        self.focus = position
        if position is not None and position not in self.visited:
            self.visited.append(position)

    def _following(self, findings: dict[int, Finding]) -> int | None:
        passed = {place for place, finding in findings.items() if finding.passed}
        failed = {
            place: finding.distance for place, finding in findings.items() if not finding.passed
        }
        if self.scanning:
            return upward(len(self.names), passed, failed)
        return next_size(self.rules.strategy, self._visits, passed, failed)

    def _inverted(self) -> bool:
        """Whether a failed size's best is clearly below that of a smaller one."""
        if self.rules.strategy is Strategy.EXHAUSTIVE:
            return False
        best: Finding | None = None
        for _, finding in sorted(self.findings.items()):
            if finding.difference is None:
                continue
            if best is not None and best.difference is not None:
                error = math.sqrt(best.variance + finding.variance + 2.0 * NOISE**2)
                fall = best.difference - finding.difference
                if not finding.passed and fall > INVERSION * error:
                    return True
            if best is None or best.difference is None or finding.difference > best.difference:
                best = finding
        return False

    def _open(self, candidate: int) -> Step:
        """Declare the sizes from the candidate to the top, with their shares of alpha."""
        declared = tuple(range(candidate, len(self.names)))
        alphas = alpha_shares(len(declared), self.rules.alpha)
        self.shares = dict(zip(declared, alphas, strict=True))
        self.awaiting = candidate
        return Step(f"confirm tests {self.names[candidate]}", declared)

    def _after_climb(self, position: int, finding: Finding) -> Step:
        if not finding.passed:
            return Step(self._climb(position))
        self.focus, self.awaiting = None, position
        return Step("confirm tests it")

    def _climb(self, position: int) -> str:
        """Turn to the next larger size that may still be confirmed."""
        self.focus = None
        for larger in range(position + 1, len(self.names)):
            if larger not in self.findings:
                self._visit(larger)
                return f"next {self.names[larger]}"
            if self.findings[larger].passed:
                self.awaiting = larger
                return f"confirm tests {self.names[larger]}"
        return "no larger size is left"


def _expected_visit(size: SizeCost, rules: Rules) -> Visit:
    count = rules.configurations
    failing = min(count, LEAST_ENDED) * FUTILE_SHARE if rules.futility else count
    return Visit(
        size=size.parameters or size.flops,
        passing=size.flops * (1.0 + min(count, TRIALS_TO_PASS)),
        failing=size.flops * (1.0 + failing),
    )
