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
    from collections.abc import Callable, Sequence

    from kdsearch.search.rules import Rules, SizeCost

TRIALS_TO_PASS = 2.0
"""Configurations that a passing size trains on average, where there are several to choose from."""

FUTILE_SHARE = 0.55
"""Of its training that a futile trial does on average."""

LEAST_HOPE = 0.1
"""The chance to be confirmed from which on a size that did not pass on dev is tested all the same,
where no size passed."""

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
    hope: float = 0.0
    """The chance that confirm would show what is required; 0 where dev excludes a match."""

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
    alphas: tuple[float, ...] = ()
    """The share of alpha of each declared size, if none is left out on the way."""


class Route:
    """The sizes visited so far, the one under way, and the ones to come.

    Args:
        sizes: In ascending order.
        rules: The strategy, and how trials end.
        opening_alpha: Asked, when confirm is opened, for the chance of a false match that it may
            spend.
    """

    def __init__(
        self, sizes: Sequence[SizeCost], rules: Rules, opening_alpha: Callable[[], float]
    ) -> None:
        self.names = [size.name for size in sizes]
        self.rules = rules
        self.visited: list[int] = []
        self.findings: dict[int, Finding] = {}
        self.focus: int | None = None
        """The size that is being trained."""
        self.awaiting: int | None = None
        """The size that confirm is to test."""
        self.shares: dict[int, float] = {}
        """The share of alpha of each size that confirm tests or has tested."""
        self.unspent = 0.0
        """Of alpha, for the sizes that are still to be tested."""
        self.scanning = False
        """A larger size did worse than a smaller one: sizes are no longer taken as ordered."""
        self._opening_alpha = opening_alpha
        self._candidate: int | None = None
        self._probing = False
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
        if self._candidate is not None:
            return self._after_climb(position, finding)
        inverted = not finding.passed and not self.scanning and self._inverted()
        self.scanning |= inverted
        following = self._following(self.findings)
        self._visit(following)
        if following is not None:
            note = "larger sizes do worse, so the others are tried upward: " if inverted else ""
            return Step(f"{note}next {self.names[following]}")
        winners = [place for place, finding in self.findings.items() if finding.passed]
        if winners:
            return self._open(min(winners))
        hope, nearest = max((finding.hope, place) for place, finding in self.findings.items())
        if hope < LEAST_HOPE:
            return Step("no size is left to try")
        return self._open(nearest)

    def after_confirm(self, matched: bool) -> str:
        """Go on from the size that confirm has tested."""
        position, self.awaiting = self.awaiting, None
        if position is None or self._probing:
            return "the search is over"
        return self._probe(position) if matched else self._climb(position)

    def ahead(self) -> list[int]:
        """Return sizes that may come next, whatever the one under way turns out to be."""
        if self.focus is None or self._probing:
            return []
        if self._candidate is not None:
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
        self._candidate, self.unspent = candidate, self._opening_alpha()
        alphas = alpha_shares(len(declared), self.unspent)
        return Step(self._test(candidate), declared, alphas)

    def _test(self, position: int) -> str:
        """Let confirm test a size, at half of what is unspent or, of the last one, all of it."""
        larger = range(position + 1, len(self.names))
        more = not self._probing and any(
            place not in self.findings or self.findings[place].passed for place in larger
        )
        self.shares[position] = self.unspent / 2.0 if more else self.unspent
        self.unspent -= self.shares[position]
        self.focus, self.awaiting = None, position
        return f"confirm tests {self.names[position]}"

    def _after_climb(self, position: int, finding: Finding) -> Step:
        if finding.passed:
            return Step(self._test(position))
        if self._probing:
            self.focus = None
            return Step("the search is over")
        return Step(self._climb(position))

    def _probe(self, position: int) -> str:
        """Turn to the largest smaller size that was not visited, if that was asked for.

        The match that was just found hands its share of alpha on (Bretz et al. 2009).
        """
        smaller = [place for place in range(position) if place not in self.findings]
        if not self.rules.probe_below or not smaller:
            return "the search is over"
        self._probing = True
        self.unspent = self.shares[position]
        self._visit(smaller[-1])
        return f"next {self.names[smaller[-1]]}, to probe below the match"

    def _climb(self, position: int) -> str:
        """Turn to the next larger size that may still be confirmed."""
        self.focus = None
        for larger in range(position + 1, len(self.names)):
            if larger not in self.findings:
                self._visit(larger)
                return f"next {self.names[larger]}"
            if self.findings[larger].passed:
                return self._test(larger)
        return "no larger size is left"


def _expected_visit(size: SizeCost, rules: Rules) -> Visit:
    count = rules.configurations
    failing = min(count, LEAST_ENDED) * FUTILE_SHARE if rules.futility else count
    return Visit(
        size=size.parameters or size.flops,
        passing=size.flops * (1.0 + min(count, TRIALS_TO_PASS)),
        failing=size.flops * (1.0 + failing),
    )
