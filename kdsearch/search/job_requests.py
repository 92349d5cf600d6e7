"""What a worker is asked for each of the director's jobs, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdsearch.search.agreement import AUDIT
from kdsearch.search.rules import Confirm, Train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kdsearch.search.recorded_files import RecordedFiles

TEACHER = "teacher"
"""The id of the teacher's job."""


@dataclass(frozen=True)
class JobRequest:
    """Something for a worker to do; `payload` is plain data."""

    id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Audit:
    """Look at the teacher's answers, or at those of a size's best trial."""

    size: str | None
    trial: str | None


@dataclass(frozen=True)
class Repair:
    """Train again what has finished: its files were damaged."""

    job: Train
    reason: str

    @property
    def size(self) -> str:
        """Of the trial."""
        return self.job.size


class JobRequests:
    """Words a run's jobs for its workers.

    Args:
        run: The run directory.
        files: What the journal has recorded; workers check what they read by it.
        settings: All that a trial trains with.
    """

    def __init__(
        self, run: Path, files: RecordedFiles, settings: Callable[[Train], Mapping[str, Any]]
    ) -> None:
        self.run = run
        self.files = files
        self.settings = settings

    def teacher(self, seed: int, rules: Mapping[str, Any]) -> JobRequest:
        """Ask for the teachers; made again by what is recorded of them."""
        return JobRequest(TEACHER, self._payload("teacher", seed=seed, rules=rules))

    def of(self, job: Train | Repair | Confirm | Audit) -> JobRequest:
        """Ask for any other job."""
        if isinstance(job, Confirm):
            trials = list(job.seeds or (job.trial,))
            students = {trial: self.files.student(trial) for trial in trials}
            asked = {"size": job.size, "trial": job.trial, "trials": trials, "look": job.look}
            known = {"students": students, "answers": self.files.answers}
            return JobRequest(f"{job.trial}-confirm", self._payload("confirm", **asked, **known))
        if isinstance(job, Audit):
            students = {job.trial: self.files.student(job.trial)} if job.trial else {}
            payload = self._payload("audit", size=job.size, trial=job.trial, students=students)
            return JobRequest(f"{job.trial or TEACHER}{AUDIT}", payload)
        train = job.job if isinstance(job, Repair) else job
        asked = {"size": train.size, "trial": train.trial, "seed": train.seed}
        payload = self._payload("train", settings=self.settings(train), **asked)
        return JobRequest(train.trial, payload)

    def _payload(self, kind: str, **asked: Any) -> dict[str, Any]:
        return {"kind": kind, "run": str(self.run), "files": self.files.teacher, **asked}
