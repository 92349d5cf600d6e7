"""What the journal has recorded of a run's files: the digest that each had when it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.events import (
    ConfirmChecked,
    ConfirmTested,
    ModelAudited,
    TeacherReady,
    TrialFinished,
    TrialRepaired,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kdsearch.events import Event

STUDENT = "student"
"""The folder of a trial's model."""


class RecordedFiles:
    """Digests by path in the run directory, the latest of each.

    Args:
        events: Of the journal so far.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.teacher: dict[str, str] = {}
        """What trials read of teachers and ladder."""
        self.trials: dict[str, dict[str, str]] = {}
        """By trial: its student and its answers to dev."""
        self.answers: dict[str, str | None] = {}
        """Answers to confirm; None where a journal of an older version has no digest."""
        self.errors: dict[str, str] = {}
        """Items that audits wrote down."""
        self.tested: set[str] = set()
        """Trials whose student was tested on confirm."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in an event."""
        trial = event.trial or ""
        match event:
            case TeacherReady():
                self.teacher = dict(event.files)
            case TrialFinished() | TrialRepaired() if event.files:
                self.trials[trial] = dict(event.files)
            case ConfirmChecked():
                self._answered(event.files, "teacher/confirm.jsonl")
            case ConfirmTested():
                self._answered(event.files, f"trials/{trial}/confirm.jsonl")
                self.tested |= {path.split("/")[1] for path in event.files if _of_trial(path)}
                self.tested.add(trial)
            case ModelAudited():
                self.errors |= event.files

    def _answered(self, files: Mapping[str, str], otherwise: str) -> None:
        self.answers.update(files)
        if not files:
            self.answers[otherwise] = None

    def student(self, trial: str) -> dict[str, str]:
        """Return the digest of a trial's student, by its path."""
        own = self.trials.get(trial, {})
        return {path: found for path, found in own.items() if path.endswith(f"/{STUDENT}")}

    def small(self) -> dict[str, str]:
        """Return answers and items: what is quick to check."""
        trials = {path: found for own in self.trials.values() for path, found in own.items()}
        known = {path: found for path, found in self.answers.items() if found is not None}
        files = {**self.teacher, **trials, **known, **self.errors}
        return {path: found for path, found in files.items() if path.endswith(".jsonl")}

    def needed(self) -> dict[str, str]:
        """Return what a run that goes on relies on: all but the students that were not tested."""
        trials = {path: found for own in self.trials.values() for path, found in own.items()}
        answers = {path: found for path, found in trials.items() if path.endswith(".jsonl")}
        students: dict[str, str] = {}
        for trial in sorted(self.tested):
            students |= self.student(trial)
        return {**self.teacher, **answers, **students}


def trial_of(path: str) -> str | None:
    """Return the trial that a path lies in; None of any other."""
    return path.split("/")[1] if _of_trial(path) else None


def _of_trial(path: str) -> bool:
    return path.startswith("trials/") and path.count("/") > 1


def by_trial(damaged: Mapping[str, str]) -> dict[str | None, str]:
    """Return what is damaged in words, by trial; None stands for the teacher."""
    found: dict[str | None, list[str]] = {}
    for path, fault in damaged.items():
        found.setdefault(trial_of(path), []).append(f"{path}: {fault}")
    return {trial: "; ".join(faults) for trial, faults in found.items()}


def repair_text(event: TrialRepaired) -> str:
    """Say what was damaged, and what came of training again."""
    same = event.score == event.before
    now = (
        "the same score on dev" if same else f"dev {event.score:.3f} instead of {event.before:.3f}"
    )
    return f"was trained again, with {now}: {event.reason}"


def files_below(files: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the digests of paths that begin with a prefix."""
    return {path: found for path, found in files.items() if path.startswith(prefix)}
