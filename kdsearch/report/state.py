"""What is known of a run after some events: the one reading of the journal that displays share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from kdsearch.events import (
    ConfirmOpened,
    ConfirmTested,
    RunFinished,
    RunStarted,
    SizeDecided,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from kdsearch.report.numbers import last_line
from kdsearch.report.planned import Planned
from kdsearch.search.cost import Ledger
from kdsearch.search.evidence import Answers

if TYPE_CHECKING:
    from kdsearch.events import Event, Record


TrialEvent = TrialStarted | TrialProgress | TrialFinished | TrialStopped | TrialFailed

TEACHER = "teacher"
"""Stands for the name of the teacher's own training, which is no trial."""


def trial_name(event: Event) -> str:
    """Return the name of the trial that an event is about, or the teacher's."""
    return event.trial or TEACHER


class TrialStatus(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class PhaseState:
    """How far what goes on beside training has come: answers to a split, or signals."""

    name: str
    """As in `TrialProgress.phase`."""
    done: int
    of: int
    seconds: float
    """Into the run, at which so many were done."""
    first: PhaseState | None = None
    """The first report of the same phase."""

    @property
    def label(self) -> str:
        """What is done, such as `signals` or `answering dev`."""
        return self.name if self.name == "signals" else f"answering {self.name}"

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes at the pace since the first report; None before there is one."""
        if self.first is None or self.done <= self.first.done:
            return None
        pace = (self.seconds - self.first.seconds) / (self.done - self.first.done)
        return pace * (self.of - self.done)

    def following(self, before: PhaseState | None) -> PhaseState:
        """Return the same after an earlier report, if it goes on with its phase."""
        goes_on = before is not None and (before.name, before.of) == (self.name, self.of)
        if before is None or not goes_on or self.done < before.done:
            return self
        return replace(self, first=before.first or before)


@dataclass
class TrialState:
    """One trial as its last event left it."""

    name: str
    size: str | None
    """None for the teacher's own training."""
    index: int | None
    started: float
    """Seconds into the run."""
    status: TrialStatus = TrialStatus.RUNNING
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    score: float | None = None
    answers: Answers | None = None
    """Its last answers to dev, beside the teacher's."""
    note: str = ""
    """Why it stopped or failed."""
    without: str | None = None
    """The term that it leaves out; such a trial is no part of the search."""
    phase: PhaseState | None = None
    """What goes on beside its training now."""

    @property
    def share_done(self) -> float:
        """The share of its steps behind it."""
        if self.status is TrialStatus.FINISHED:
            return 1.0
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    def judge(self, event: TrialProgress | TrialFinished) -> None:
        """Note its answers to dev, where it has given any."""
        if event.score is None:
            return
        self.score, only = event.score, (event.student_only, event.teacher_only)
        if only[0] is not None and only[1] is not None and event.items:
            self.answers = Answers(event.score, only[0], only[1], event.items, event.paired)


@dataclass
class SizeState:
    """One size as the last decision left it."""

    name: str
    parameters: int | None
    verdict: str | None = None
    """None until it is decided."""
    decided_on: str | None = None
    reason: str = ""
    alpha: float | None = None
    """Its share of the error, once confirm is opened for it."""
    confirm: ConfirmTested | None = None


@dataclass
class RunState:
    """A run as its last event left it."""

    plan: Planned = field(default_factory=Planned)
    teacher: TeacherReady | None = None
    sizes: dict[str, SizeState] = field(default_factory=dict)
    """In the order of the ladder, then of their appearance."""
    trials: dict[str, TrialState] = field(default_factory=dict)
    finished: RunFinished | None = None
    resumed: bool = False
    searching_since: float = 0.0
    """Seconds into the run at which the teacher was ready."""
    latest: float = 0.0
    """The time of the last event, by the journal's clock."""
    _began: float | None = None
    _ledger: Ledger = field(default_factory=lambda: Ledger({}, 0.0))
    _active: float = 0.0
    """Seconds of the sessions before the present one."""

    def elapsed(self, time: float) -> float:
        """Return the seconds that the run was at work until a time of the journal's clock."""
        return self._active + (0.0 if self._began is None else max(0.0, time - self._began))

    def apply(self, record: Record) -> None:
        """Take in the next event."""
        event = record.event
        if self._began is None or isinstance(event, RunStarted):
            self._active = self.elapsed(self.latest)
            self._began = record.time
        self.latest = max(self.latest, record.time)
        self._ledger.apply(event)
        match event:
            case RunStarted():
                self._start(event)
            case TeacherReady():
                self.teacher, self.searching_since = event, self.elapsed(record.time)
                self.trials.pop(TEACHER, None)
            case SizeDecided() | ConfirmOpened() | ConfirmTested():
                self._decide(event)
            case RunFinished():
                self.finished = event
            case (
                TrialStarted() | TrialProgress() | TrialFinished() | TrialStopped() | TrialFailed()
            ):
                self._try(event, self.elapsed(record.time))

    def _start(self, event: RunStarted) -> None:
        self.plan = Planned.read(event.plan)
        self._ledger.trial_flops, self._ledger.grid = self.plan.trial_flops, self.plan.grid_flops
        self.resumed = event.resumed
        for name, parameters in self.plan.sizes.items():
            self._size(name).parameters = parameters
        for trial in list(self.trials.values()):  # of a session that was killed
            if trial.status is TrialStatus.RUNNING:
                del self.trials[trial.name]

    def _size(self, name: str) -> SizeState:
        return self.sizes.setdefault(name, SizeState(name, self.plan.sizes.get(name)))

    def _decide(self, event: SizeDecided | ConfirmOpened | ConfirmTested) -> None:
        if isinstance(event, ConfirmOpened):
            for name, alpha in zip(event.sizes, event.alphas, strict=False):
                self._size(name).alpha = alpha
        elif event.size is not None and isinstance(event, ConfirmTested):
            self._size(event.size).confirm = event
            for trial in self.trials_of(event.size):
                trial.phase = None
        elif event.size is not None and isinstance(event, SizeDecided):
            size = self._size(event.size)
            size.verdict, size.decided_on = event.verdict, event.decided_on
            size.reason = event.reason

    def _try(self, event: TrialEvent, seconds: float) -> None:
        name = trial_name(event)
        if event.size is not None:
            self._size(event.size)
        if isinstance(event, TrialStarted) or name not in self.trials:
            index = None if isinstance(event, TrialProgress) else event.index
            self.trials[name] = TrialState(name, event.size, index, seconds)
        if isinstance(event, TrialStarted):
            self.trials[name].without = event.without
        trial = self.trials[name]
        match event:
            case TrialProgress():
                trial.step, trial.total_steps = event.step, event.total_steps
                trial.loss = event.losses.get("loss", trial.loss)
                trial.phase = _phase(event, seconds, trial.phase)
                trial.judge(event)
            case TrialFinished():
                trial.status, trial.phase = TrialStatus.FINISHED, None
                trial.judge(event)
            case TrialStopped():
                trial.status, trial.note = TrialStatus.STOPPED, event.reason
                trial.step = max(trial.step, event.step)
            case TrialFailed():
                trial.status, trial.note = TrialStatus.FAILED, last_line(event.error)

    @property
    def running(self) -> list[TrialState]:
        """The trials at work, the oldest first."""
        return [trial for trial in self.trials.values() if trial.status is TrialStatus.RUNNING]

    def trials_of(self, size: str) -> list[TrialState]:
        """Return a size's trials, the oldest first."""
        return [trial for trial in self.trials.values() if trial.size == size]

    @property
    def share_of_grid(self) -> float:
        """The planned cost of the steps behind, against training the exhaustive grid."""
        return self._ledger.totals().share_of_grid


def _phase(event: TrialProgress, seconds: float, before: PhaseState | None) -> PhaseState | None:
    """Return the phase that a report is of; None of training."""
    if event.phase is None or event.done is None or event.of is None:
        return before if event.note is not None else None
    return PhaseState(event.phase, event.done, event.of, seconds).following(before)
