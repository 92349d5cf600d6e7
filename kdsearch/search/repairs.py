"""What of a run is made again because its files were damaged.

Decisions stand: they were made by what the journal says. Once confirm has been opened, students
must come out the same: else several could be tested at the price of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError, StorageError
from kdsearch.events import ConfirmOpened, Event, TrialFinished, TrialRepaired, TrialStarted
from kdsearch.search.job_requests import Repair
from kdsearch.search.recorded_files import files_below
from kdsearch.search.rules import Train
from kdsearch.storage import damaged_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kdsearch.search.recorded_files import RecordedFiles


class Repairs:
    """The repairs of a run.

    Args:
        run: The run directory.
        files: What the journal has recorded.
        events: Of the journal so far.
    """

    def __init__(self, run: Path, files: RecordedFiles, events: Iterable[Event]) -> None:
        self.run = run
        self.files = files
        self._started: dict[str, TrialStarted] = {}
        self._finished: dict[str, TrialFinished] = {}
        self._opened = False
        """Whether confirm was opened, for the students that there were."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in an event of the run."""
        if isinstance(event, TrialStarted):
            self._started[event.trial or ""] = event
        elif isinstance(event, TrialFinished):
            self._finished[event.trial or ""] = event
        elif isinstance(event, ConfirmOpened):
            self._opened = True

    def of(self, damaged: Mapping[str, str]) -> list[Repair]:
        """Return what is to be trained again.

        Args:
            damaged: By trial, what is wrong.
        """
        found = []
        for trial, reason in damaged.items():
            begun = self._started[trial]
            job = Train(trial, begun.size or "", begun.index, begun.seed, begun.without)
            found.append(Repair(job, reason))
        return found

    def done(self, repair: Repair, result: Mapping[str, Any]) -> TrialRepaired:
        """Return what to journal of a trial that was trained again.

        Raises:
            RunError: If confirm was opened for it, and it is another student now.
        """
        trial, files = repair.job.trial, result["files"]
        student = files_below(files, f"trials/{trial}/student")
        if self._opened and student != self.files.student(trial):
            raise RunError(
                f"{repair.reason}: it was damaged after confirm had been opened, and training it "
                "again gave another student",
                where=str(self.run),
                fix="restore the files, or start a new run",
            )
        return TrialRepaired(
            size=repair.job.size,
            trial=trial,
            reason=repair.reason,
            score=result["score"],
            before=self._finished[trial].score,
            files=files,
            flops={"training": result["flops"].get("training", 0.0)},
        )

    def check_teacher(self, reason: str, result: Mapping[str, Any]) -> None:
        """Refuse a teacher that was made again and is another one than the trials learned from.

        Raises:
            RunError: If it is.
        """
        for path, known in self.files.teacher.items():
            if result["files"].get(path) != known:
                raise RunError(
                    f"{reason}; made again, {path} is another one",
                    where=str(self.run),
                    fix="restore the file, or start a new run",
                )

    def check_whole(self, known: Mapping[str, str]) -> None:
        """Refuse files that were damaged since they were written.

        Raises:
            StorageError: If any were.
        """
        for path, fault in damaged_files(self.run, known).items():
            raise StorageError(
                f"damaged during the run: {fault}",
                where=str(self.run / path),
                fix="resume the run: it is made again",
            )

    def check_answers(self, trials: Iterable[str]) -> None:
        """Refuse answers of trials to dev that were damaged since; see `check_whole`."""
        own = (self.files.trials.get(trial, {}) for trial in trials)
        known = {path: found for files in own for path, found in files.items()}
        self.check_whole({path: each for path, each in known.items() if path.endswith(".jsonl")})
