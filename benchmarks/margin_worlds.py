"""Students exactly at the margin, and searches among them by the policy that drives real runs.

A design says how answers come about and what the search may do; a match is false unless the design
says that the student equals its teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from kdsearch.events import ConfirmOpened, Event, Record, TrialFinished
from kdsearch.search.confirm import recipe_event
from kdsearch.search.openings import RunOpenings
from kdsearch.search.policy import Policy
from kdsearch.search.rules import Confirm, Rules, SizeCost, Train
from kdsearch.stats.paired import alpha_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.quick_tests import Method
    from kdsearch.search.ledger import ConfirmLedger

MARGIN = 0.02

GROWTH = 1.6

DEV = 2000
"""Items of dev, of which `DISAGREEMENT` are discordant."""

DISAGREEMENT = 0.12

CLEARLY_ABOVE = 0.07
"""How far above the margin a student stands on the domains that do not refuse it."""


class Items(NamedTuple):
    """Confirm items, in the order in which they are opened."""

    teacher: Any
    """The teacher's scores."""
    luck: Any
    """In 0..1 for each item: what students that share errors have in common."""
    units: Any = None
    """The unit of each item, ascending."""


class Draw(Protocol):
    """Draws the scores of teacher and students."""

    def items(self, generator: np.random.Generator, units: int) -> Items:
        """Draw so many independent items or units."""

    def student(
        self, generator: np.random.Generator, items: Items, above: float
    ) -> tuple[Any, Any]:
        """Return a student's scores and its teacher's, so far above the margin in truth."""


@dataclass(frozen=True)
class Pairs:
    """Right and wrong answers."""

    loss: float
    """Share of items that the teacher alone has right; `loss - gain` is the margin."""
    gain: float
    right: float = 0.8
    """The teacher's score."""
    shared: float = 0.0
    """Share of items on which a student's luck is that of all students."""

    def items(self, generator: np.random.Generator, units: int) -> Items:
        """Draw the teacher's answers."""
        return Items((generator.random(units) < self.right).astype(float), generator.random(units))

    def student(
        self, generator: np.random.Generator, items: Items, above: float
    ) -> tuple[Any, Any]:
        """Draw a student's answers to these items."""
        number = len(items.teacher)
        own = generator.random(number)
        if self.shared:
            own = np.where(generator.random(number) < self.shared, items.luck, own)
        wrong = (self.loss - above / 2.0) / self.right
        found = (self.gain + above / 2.0) / (1.0 - self.right)
        answers = np.where(items.teacher == 1.0, own >= wrong, own < found)
        return answers.astype(float), items.teacher


class Differences(Protocol):
    """Draws paired differences of a mean of minus the margin."""

    def __call__(self, generator: np.random.Generator, sizes: Any) -> Any:
        """Return a difference for each item, given the number of items of each unit."""


@dataclass(frozen=True)
class Graded:
    """Graded scores, or items in units, by the difference that they show."""

    differences: Differences
    sizes: tuple[int, ...] = ()
    """Of units, each as frequent as another; none where items are independent."""

    def items(self, generator: np.random.Generator, units: int) -> Items:
        """Draw how many items each unit has."""
        if not self.sizes:
            return Items(np.ones(units), None)
        members = np.repeat(np.arange(units), generator.choice(self.sizes, units))
        return Items(np.ones(len(members)), None, members)

    def student(
        self, generator: np.random.Generator, items: Items, above: float
    ) -> tuple[Any, Any]:
        """Draw differences; the teacher's scores leave room for them, and decide nothing else."""
        units = items.units
        sizes = np.ones(len(items.teacher), int) if units is None else np.bincount(units)
        drawn = self.differences(generator, sizes)
        teacher = 1.0 - np.maximum(drawn, 0.0)
        return teacher + drawn, teacher


@dataclass(frozen=True, kw_only=True)
class Design:
    """What searches of one kind have in common."""

    name: str
    draw: Draw
    items: int
    """Independent items or units of confirm, and of each later look."""
    sizes: int = 1
    equal: frozenset[int] = frozenset()
    """Sizes whose students equal their teacher, so that a match is none too many."""
    configurations: int = 1
    seeds: int = 1
    spread: float = 0.0
    """Deviation of the difference between seeds."""
    looks: int = 1
    runs: int = 1
    """On the same items, each with students of its own, until one declares a match."""
    true_runs: frozenset[int] = frozenset()
    """Those whose students equal their teacher; the runs then go on after a match."""
    drawn: float = 1.0
    """Share of the items that a run draws of all that there are."""
    domains: int = 1
    dev: str = "passes"
    """`passes`; `halves`: each size by a coin; `gap`: size 1 and those from 4 on; `drawn`."""
    retain: float | None = None
    reserve: float = 0.0
    probe_below: bool = False
    former: bool = True
    """Whether the former rules could do this too."""

    def rules(self) -> Rules:
        """Return what its policies go by."""
        return Rules(
            margin=MARGIN if self.retain is None else None,
            retain=self.retain,
            dev_items=DEV,
            confirm_items=self.items * self.domains,
            configurations=self.configurations,
            seeds=self.seeds,
            reserve=self.reserve,
            probe_below=self.probe_below,
        )


class Count(NamedTuple):
    """What one search, or several runs on the same items, came to."""

    opened: bool
    false_match: bool


def searched(
    design: Design, method: Method, generator: np.random.Generator, ledger: ConfirmLedger
) -> Count:
    """Search once among students at the margin; `ledger` is that of a new user."""
    whole = design.draw.items(generator, design.items * design.domains * design.looks)
    opened = false = False
    for run in range(design.runs):
        number = len(whole.teacher)
        places = np.arange(number)
        if design.drawn < 1.0:
            places = np.sort(generator.choice(number, round(design.drawn * number), replace=False))
        search = _Search(design, method, generator, whole, places, ledger, run)
        search.carry_out()
        opened |= bool(search.policy.tests)
        false |= search.false_match
        if search.matched and run not in design.true_runs:
            break
    return Count(opened, false)


class _Search:
    """One run of one user."""

    def __init__(
        self,
        design: Design,
        method: Method,
        generator: np.random.Generator,
        items: Items,
        places: Any,
        ledger: ConfirmLedger,
        run: int,
    ) -> None:
        self.design, self.method, self.generator, self.run = design, method, generator, run
        self.items, self.places = items, places
        self.look = 1
        self.records: list[Record] = []
        self.students: dict[tuple[str, int, int], tuple[Any, Any]] = {}
        self.luck: dict[tuple[str, int, int], float] = {}
        self.shared = design.looks > 1 or design.runs > 1
        rules = design.rules()
        self.openings = RunOpenings(
            ledger=ledger,
            journal=SimpleNamespace(records=self.records),  # type: ignore[arg-type]  # all it reads
            id=str(run),
            folder="",
            items=self._keys() if self.shared else frozenset(),
            alpha=rules.alpha,
            reserve=rules.reserve,
            family=None,
        )
        if method.former:
            rules = replace(rules, reserve=0.0)
        costs = [SizeCost(str(place), GROWTH**place) for place in range(design.sizes)]
        spend = self.openings.spend if self.shared and not method.former else None
        self.policy = Policy(costs, rules, opening_alpha=spend)

    @property
    def matched(self) -> bool:
        """Whether a size matched."""
        return any(test.verdict == "match" for test in self.policy.tests)

    @property
    def false_match(self) -> bool:
        """Whether a size matched that does not."""
        return any(
            test.verdict == "match" and not self._equal(test.size or "")
            for test in self.policy.tests
        )

    def carry_out(self) -> None:
        """Search, and look again as often as the design says while a size is undecided."""
        self._play()
        while self.look < self.design.looks and not self.matched:
            self.look += 1
            if not (sizes := self.policy.undecided_on_confirm()):
                break
            self._reopen(sizes)
            self._play()
        self._settle()

    def _reopen(self, sizes: list[str]) -> None:
        """Add items, as `kdsearch confirm RUN --more` does."""
        if self.method.former:
            alphas = (self.policy.rules.alpha,) * len(sizes)
        else:
            self._settle()
            openings = replace(self.openings, items=self._keys())
            alphas = alpha_shares(len(sizes), openings.spend())
        opened = ConfirmOpened(
            sizes=tuple(sizes), alphas=alphas, fingerprint="", alpha=math.fsum(alphas),
            look=self.look,
        )  # fmt: skip
        self._apply(opened)

    def _settle(self) -> None:
        if self.shared and not self.method.former:
            self.openings.settle()

    def _play(self) -> None:
        """Do every job that the policy hands out."""
        while not isinstance(job := self.policy.next_job(), str):
            self._apply(self._trained(job) if isinstance(job, Train) else self._tested(job))

    def _apply(self, event: Event) -> None:
        for each in (event, *self.policy.apply(event)):
            self.records.append(Record(len(self.records), 0.0, each))

    def _trained(self, job: Train) -> TrialFinished:
        shift = self._dev(job)
        share = max(DISAGREEMENT, abs(shift))
        own = round(DEV * (share + shift) / 2.0)
        return TrialFinished(
            size=job.size, trial=job.trial, index=job.index, seed=job.seed, config={},
            score=0.8 + shift, student_only=own, teacher_only=round(DEV * share) - own,
            items=DEV, flops={},
        )  # fmt: skip

    def _dev(self, job: Train) -> float:
        """Return the difference that dev shows."""
        place, passing, failing = int(job.size), 0.1, -0.1
        match self.design.dev:
            case "halves":
                return passing if self.generator.random() < 0.5 else failing
            case "gap":
                return passing if place == 1 or place >= 4 else failing
            case "drawn":
                noise = self.generator.normal(0.0, math.sqrt(DISAGREEMENT / DEV))
                luck = self._luck(job.size, job.index or 0, job.seed)
                return -MARGIN + luck + float(noise)
        return passing

    def _tested(self, job: Confirm) -> Event:
        """Let the students answer what is open."""
        units, opened = self.items.units, self._open_places()
        answers = [self._student(trial) for trial in job.seeds or (job.trial,)]
        return recipe_event(
            self.policy,
            job.size,
            [student[opened].tolist() for student, _ in answers],
            answers[0][1][opened].tolist(),
            units=None if units is None else units[opened].tolist(),
            places=self._domains(len(opened)) if self.design.domains > 1 else None,
        )

    def _open_places(self) -> Any:
        """Return the places of the items that are open at this look."""
        if self.items.units is not None:
            return np.flatnonzero(self.items.units < self.design.items * self.look)
        if self.design.looks == 1:
            return self.places
        return self.places[: self.design.items * self.look]

    def _student(self, trial: str) -> tuple[Any, Any]:
        size, index, seed = _parts(trial)
        if self.method.former and self.design.seeds > 1:
            seed -= 1  # the first one is that by which dev chose
        key = size, index, seed
        if key not in self.students:
            above = MARGIN if self._equal(size) else 0.0
            above += self._luck(*key)
            whole = self.design.draw.student(self.generator, self.items, above)
            if self.design.domains > 1:
                whole = self._but_one(size, *whole)
            self.students[key] = whole
        return self.students[key]

    def _luck(self, size: str, index: int, seed: int) -> float:
        """Return how far a seed stands from its recipe, between -.1 and .1."""
        if not self.design.spread:
            return 0.0
        key = size, index, seed
        if key not in self.luck:
            drawn = self.generator.normal(0.0, self.design.spread)
            self.luck[key] = min(0.1, max(-0.1, float(drawn)))
        return self.luck[key]

    def _but_one(self, size: str, student: Any, teacher: Any) -> tuple[Any, Any]:
        """Let a student stand clearly above the margin on all domains but one."""
        draw, domains = self.design.draw, self.design.domains
        above, _ = draw.student(self.generator, self.items, CLEARLY_ABOVE)
        own = np.arange(len(student)) % domains == int(size) % domains
        return np.where(own, student, above), teacher

    def _domains(self, upto: int) -> Mapping[str, list[int]]:
        domains = self.design.domains
        return {str(first): list(range(first, upto, domains)) for first in range(domains)}

    def _equal(self, size: str) -> bool:
        return int(size) in self.design.equal or self.run in self.design.true_runs

    def _keys(self) -> frozenset[bytes]:
        """Return what the ledger knows the open items by: one in twenty stands for all of them."""
        places = self._open_places()
        return frozenset(int(each).to_bytes(8, "big") for each in places[places % 20 == 0])


def _parts(trial: str) -> tuple[str, int, int]:
    size, index, seed = trial.split("-")
    return size, int(index.removeprefix("c")), int(seed.removeprefix("s"))
