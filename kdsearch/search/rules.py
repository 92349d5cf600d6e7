"""The values that a search exchanges: its rules, its jobs, and what it says of a size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import ConfirmTested


class Verdict(StrEnum):
    """What is known of a size."""

    MATCH = "match"
    """The lower bound on confirm is above the margin."""
    NO_MATCH = "no_match"
    """The upper bound is below the margin: on confirm, or on dev for every configuration."""
    UNDECIDED = "undecided"
    """Trained, and neither."""
    FAILED = "failed"
    """No trial finished."""
    NOT_VISITED = "not_visited"


class Outcome(StrEnum):
    """What is known of a run."""

    MATCH = "match"
    UNDECIDED = "undecided"
    """No match, and a visited size is undecided or failed."""
    NO_MATCH = "no_match"
    """No tried configuration matched; that none exists is never said."""
    UNINFORMATIVE_TEACHER = "uninformative_teacher"
    """The teacher is not above guessing, so that there is nothing to match."""
    INSENSITIVE_MARGIN = "insensitive_margin"
    """The margin is not smaller than the teacher's lead over guessing: knowing nothing matches."""
    UNRELIABLE_DATA = "unreliable_data"
    """The teacher's answers to confirm are no better than guessing, or unlike those to dev."""
    WITHHELD = "withheld"
    """A size matched by its scores, and an audit found that they do not come from reading."""


@dataclass(frozen=True)
class SizeCost:
    """A size of the ladder, as the policy sees it."""

    name: str
    flops: float
    """Planned training FLOPs of one whole trial."""
    parameters: int | None = None
    """For the guess of the size that would be needed; FLOPs stand in for them."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a match is, and how hard to look for one."""

    margin: float | None
    """How far below the teacher still matches; None where `retain` is given."""
    retain: float | None = None
    """The share of the teacher's score to keep."""
    confidence: float = 0.95
    """One minus the chance of any false match in the run."""
    dev_items: int
    confirm_items: int
    configurations: int = 1
    """Distilled trials a size, at most; the baseline comes on top."""
    strategy: Strategy = Strategy.BISECT
    seed: int = 0
    seeds: int = 1
    """1 tests the checkpoint that passed on dev; from 3 on, its recipe is tested over so many
    fresh seeds."""
    reserve: float = 0.0
    """The share of alpha that each opening of confirm leaves for items added later."""
    available: float | None = None
    """What earlier openings of the same items left of alpha; all of it unless given."""
    probe_below: bool = False
    """After a match, try the largest smaller size that was not visited."""
    futility: bool = True
    """Stop trials whose own reports leave them less than a 5 % chance to pass."""
    speculate: bool = False
    """Train sizes that may come next when slots are free: sooner done, at a higher cost."""
    sequential: bool = False
    """Hand a configuration out only when those below it have ended: it hangs on their results."""
    force: bool = False
    """Go on where teacher, margin or data speak against it, and declare a match all the same."""

    def __post_init__(self) -> None:
        if (self.margin is None) == (self.retain is None):
            raise ValueError("give exactly one of margin, retain")
        if min(self.dev_items, self.confirm_items, self.configurations) < 1:
            raise ValueError("dev_items, confirm_items and configurations must be at least 1")
        if self.seeds != 1 and self.seeds < 3:
            raise ValueError("seeds must be 1 or at least 3")

    @property
    def alpha(self) -> float:
        """The chance of any false match."""
        return round(1.0 - self.confidence, 12)  # .05, not .05000000000000004

    @property
    def opening_alpha(self) -> float:
        """The chance of a false match that the first opening of confirm may spend."""
        whole = self.alpha if self.available is None else self.available
        return whole * (1.0 - self.reserve)

    @property
    def fresh_seeds(self) -> range:
        """The seeds whose students are tested; of one checkpoint the seed that dev chose it by."""
        first = self.seed if self.seeds == 1 else self.seed + 1
        return range(first, first + self.seeds)

    @property
    def bar(self) -> float:
        """What the difference must exceed: `-margin`, or 0 where a share is retained."""
        return -self.margin if self.margin is not None else 0.0


@dataclass(frozen=True)
class Train:
    """Train one student."""

    trial: str
    size: str
    index: int | None
    """The configuration's index; None for the baseline."""
    seed: int
    without: str | None = None
    """The term that is left out, to ablate it."""


@dataclass(frozen=True)
class Confirm:
    """Let a trained student answer confirm, then test it by `confirm_event`."""

    size: str
    trial: str
    seeds: tuple[str, ...] = ()
    """Where the recipe is tested: the trials of all its fresh seeds."""
    look: int = 1
    """Counts the times that confirm was opened for it; from 2 on, items were added."""


class Idle(StrEnum):
    """There is no job."""

    WAIT = "wait"
    """Until a running job has reported."""
    FINISHED = "finished"
    """For good."""


WAIT: Literal[Idle.WAIT] = Idle.WAIT
FINISHED: Literal[Idle.FINISHED] = Idle.FINISHED

Job = Train | Confirm | Idle


@dataclass(frozen=True)
class SizeVerdict:
    """What is known of one size, and from what."""

    size: str
    verdict: Verdict
    decided_on: Literal["dev", "confirm"] | None = None
    exploratory: bool = False
    """Tested outside what was declared before confirm was opened: no evidence."""
    best_trial: str | None = None
    """The trial that passed on dev, else the one that came nearest; never the baseline."""
    reason: str = ""
    """One sentence."""

    @classmethod
    def of(cls, test: ConfirmTested, reason: str) -> SizeVerdict:
        """Read a verdict off a test on confirm."""
        verdict = Verdict(test.verdict)
        return cls(test.size or "", verdict, "confirm", test.exploratory, test.trial, reason)

    @property
    def proves_a_match(self) -> bool:
        """Whether it is a match by a test that was declared."""
        return self.verdict is Verdict.MATCH and not self.exploratory


def outcome_of(verdicts: Sequence[SizeVerdict]) -> Outcome:
    """Return what the verdicts of all sizes amount to."""
    found = {verdict.verdict for verdict in verdicts}
    if any(verdict.proves_a_match for verdict in verdicts):
        return Outcome.MATCH
    open_ends = {Verdict.MATCH, Verdict.UNDECIDED, Verdict.FAILED} & found
    return Outcome.UNDECIDED if open_ends or Verdict.NO_MATCH not in found else Outcome.NO_MATCH


def undecided_on_confirm(verdicts: Sequence[SizeVerdict]) -> list[str]:
    """Return the sizes that more confirm items may decide, up to the smallest match."""
    found = []
    for verdict in verdicts:
        if verdict.proves_a_match:
            break
        if verdict.verdict is Verdict.UNDECIDED and verdict.decided_on == "confirm":
            found += [] if verdict.exploratory else [verdict.size]
    return found


def trial_id(size: str, index: int | None, seed: int) -> str:
    """Return a trial's id, such as `6M-c0-s0` or `6M-baseline-s0`."""
    return f"{size}-{'baseline' if index is None else f'c{index}'}-s{seed}"
