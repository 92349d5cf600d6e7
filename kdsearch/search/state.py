"""What is known of each size while a search runs: results by configuration index.

A decision is a function of the set of results, never of the order in which they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from kdsearch.events import TrialFailed, TrialFinished, TrialStopped
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.futility import FUTILE, LEAST_CHANCE, LEAST_ENDED, chance_of_more
from kdsearch.search.route import Finding
from kdsearch.search.rules import Verdict
from kdsearch.stats.spread import Running

if TYPE_CHECKING:
    from kdsearch.search.evidence import Evidence
    from kdsearch.search.rules import Rules


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
    expected: float | None = None
    """The difference that a futile trial would have ended with."""

    @property
    def passes(self) -> bool:
        """Whether it finished and passed."""
        return self.ending is Ending.FINISHED and self.evidence is not None and self.evidence.passes

    @property
    def difference(self) -> float | None:
        """From the teacher, at the end; what was to be expected of a futile trial."""
        if self.evidence is None:
            return None
        return self.evidence.difference if self.expected is None else self.expected

    @property
    def distance(self) -> float | None:
        """How far the difference lies above what was required."""
        end = self.difference
        return None if end is None or self.evidence is None else end - self.evidence.required

    @property
    def below(self) -> bool:
        """Whether dev excludes a match of this configuration."""
        return self.evidence is not None and self.evidence.below


def result_of(event: TrialFinished | TrialFailed | TrialStopped, rules: Rules) -> Result | None:
    """Return what the end of a trial says of its configuration; None where it was interrupted."""
    if isinstance(event, TrialFinished):
        counts = event.student_only, event.teacher_only, event.items
        answers = Answers(event.score, *counts, event.paired, event.domains)
        return Result(Ending.FINISHED, weigh(answers, rules))
    if isinstance(event, TrialFailed):
        return Result(Ending.FAILED)
    return Result(Ending.FUTILE) if event.reason.startswith(FUTILE) else None


ENDED = {ending: Result(ending) for ending in Ending}
"""What is kept of a settled result that is not the nearest: objects that live on, one a trial,
would make each full garbage collection longer."""


@dataclass
class SizeState:
    """One size's results, and the decision that they amount to."""

    configurations: int
    futility: bool = True
    """Whether the size may be given up before every configuration has ended."""
    sequential: bool = False
    """Whether a configuration is handed out only when those below it have ended."""
    differences: dict[int, float | None] = field(default_factory=dict)
    """By index, how each ended: the difference from the teacher, None where it failed."""
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
    hopeless: bool = False
    """The settled indices leave the others too small a chance to pass."""
    _nearest: tuple[float, int] | None = None
    """Negated distance and index of the settled configuration that came nearest."""
    _failed: int = 0
    _below: bool = True
    """Whether dev excludes a match of every settled configuration."""
    _distances: Running = field(default_factory=Running)

    @property
    def decided(self) -> bool:
        """Whether dev has decided the size."""
        return self.winner is not None or self.hopeless or self.settled == self.configurations

    @property
    def complete(self) -> bool:
        """Whether every configuration has ended."""
        return len(self.results) == self.configurations

    def add(self, index: int, result: Result) -> None:
        """Take a configuration's first result; later ones change nothing."""
        self.out.discard(index)
        if index in self.results or not 0 <= index < self.configurations:
            return
        self.results[index] = result
        self.differences[index] = result.difference
        while not self.decided and (settled := self.results.get(self.settled)):
            if settled.passes:
                self.winner = self.settled
            else:
                self._settle(settled)

    def _settle(self, result: Result) -> None:
        """Count a configuration that ended without passing, those below it being counted."""
        self._failed += result.ending is Ending.FAILED
        self._below &= result.below
        if (distance := result.distance) is not None:
            self._distances.add(distance)
            here = (-distance, self.settled)
            nearest = here if self._nearest is None else min(self._nearest, here)
            if self._nearest is not None:
                self._forget(max(self._nearest, here)[1])
            self._nearest = nearest
        self.settled += 1
        more, known = self.configurations - self.settled, self._distances
        enough = self.futility and known.values >= LEAST_ENDED
        self.hopeless = enough and chance_of_more(known.spread, more) < LEAST_CHANCE

    def _forget(self, index: int) -> None:
        self.results[index] = ENDED[self.results[index].ending]

    def give_back(self, index: int | None) -> None:
        """Let an interrupted job be handed out again."""
        self.out.discard(index)
        if index is not None:
            self.next_index = min(self.next_index, index)

    def take(self, *, whole: bool = False) -> int | None:
        """Return the lowest index that may be handed out, marked as out; None if there is none.

        Args:
            whole: Train the rest of a decided size too.
        """
        while self.next_index < self.configurations and (whole or not self.decided):
            index = self.next_index
            if self.sequential and index > len(self.results):
                return None
            self.next_index += 1
            if index not in self.results and index not in self.out:
                self.out.add(index)
                return index
        return None

    def best(self) -> int | None:
        """Return the winner, else the index that came nearest; ties go to the lower index."""
        if self.winner is not None:
            return self.winner
        return None if self._nearest is None else self._nearest[1]

    def finding(self) -> Finding:
        """Return what a decided size's results say, by its best one."""
        best = self.best()
        evidence = None if best is None else self.results[best].evidence
        if best is None or evidence is None:
            return Finding(False, None, 0.0, 0.0)
        return Finding(
            passed=self.winner is not None,
            difference=self.results[best].difference,
            required=evidence.required,
            variance=evidence.square / evidence.items,
            hope=0.0 if self._below else evidence.hope,
        )

    def verdict(self) -> Verdict:
        """Return what dev alone says of a decided size."""
        if self.winner is not None:
            return Verdict.UNDECIDED
        if self._failed == self.settled:
            return Verdict.FAILED
        return Verdict.NO_MATCH if self._below else Verdict.UNDECIDED
