"""What is known of each size while a search runs: results by configuration index.

A decision is a function of the set of results, never of the order in which they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from kdsearch.search.rules import Verdict

if TYPE_CHECKING:
    from kdsearch.search.evidence import Evidence


class Ending(StrEnum):
    """How a trial of a configuration ended."""

    FINISHED = "finished"
    FUTILE = "futile"
    """Stopped, because its own reports left it too small a chance to pass."""
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """A configuration's ending and, unless it failed, what dev said last."""

    ending: Ending
    evidence: Evidence | None = None

    @property
    def passes(self) -> bool:
        """Whether it finished and passed."""
        return self.ending is Ending.FINISHED and self.evidence is not None and self.evidence.passes

    @property
    def below(self) -> bool:
        """Whether dev excludes a match of this configuration."""
        return self.evidence is not None and self.evidence.below


@dataclass
class SizeState:
    """One size's results, and the decision that they amount to."""

    configurations: int
    results: dict[int, Result] = field(default_factory=dict)
    out: set[int | None] = field(default_factory=set)
    """Jobs handed out and not ended; None is the baseline."""
    baseline_ended: bool = False
    winner: int | None = None
    """The lowest index that passed, once all lower ones have ended."""
    settled: int = 0
    """The number of leading indices that have ended without passing."""
    next_index: int = 0
    """Lower indices are out or have ended."""

    @property
    def decided(self) -> bool:
        """Whether dev has decided the size."""
        return self.winner is not None or self.settled == self.configurations

    def add(self, index: int, result: Result) -> None:
        """Take a configuration's first result; later ones change nothing."""
        self.out.discard(index)
        if index in self.results or not 0 <= index < self.configurations:
            return
        self.results[index] = result
        while self.winner is None and (settled := self.results.get(self.settled)):
            if settled.passes:
                self.winner = self.settled
            else:
                self.settled += 1

    def give_back(self, index: int | None) -> None:
        """Let an interrupted job be handed out again."""
        self.out.discard(index)
        if index is not None:
            self.next_index = min(self.next_index, index)

    def take(self) -> int | None:
        """Return the lowest index that may be handed out, marked as out; None if there is none."""
        while self.next_index < self.configurations and not self.decided:
            index = self.next_index
            self.next_index += 1
            if index not in self.results and index not in self.out:
                self.out.add(index)
                return index
        return None

    def best(self) -> int | None:
        """Return the winner, else the index that came nearest; ties go to the lower index."""
        if self.winner is not None:
            return self.winner
        shown = [
            (-result.evidence.difference, index)
            for index, result in self.results.items()
            if result.evidence is not None
        ]
        return min(shown)[1] if shown else None

    def verdict(self) -> Verdict:
        """Return what dev alone says of a decided size."""
        if self.winner is not None:
            return Verdict.UNDECIDED
        results = self.results.values()
        if all(result.ending is Ending.FAILED for result in results):
            return Verdict.FAILED
        below = all(result.below for result in results)
        return Verdict.NO_MATCH if below else Verdict.UNDECIDED
