"""Lets Ray Tune ask the director for jobs and tell it what came of them.

Tune shows a report to the scheduler first, and to the searcher only if the trial goes on. So the
scheduler passes reports on, and the searcher hears of jobs' beginnings and ends.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from kdsearch.cluster.stalls import take_stall
from kdsearch.cluster.trainable import MESSAGE
from kdsearch.errors import StorageError
from kdsearch.search.rules import Idle
from kdsearch.search.run_faults import rebuilt, run_fault

if TYPE_CHECKING:
    from kdsearch.search.director import Director


CAUSES = {
    "low on memory": "its node ran low on memory",
    "node has died": "its node died",
}
"""What Ray writes of a dead worker, and what that means."""

SECONDS_BETWEEN_LOOKS = 10.0
"""At the nodes of the cluster."""

KILLED = "the process was killed or crashed"
"""The cause of death that leaves no other trace."""


class DirectedSearcher(Searcher):
    """A Tune searcher that has no opinion of its own.

    Exceptions would kill the whole experiment in the middle of other trials: the first one is kept
    in `fault`, ends the search, and is raised by whoever started it.

    Args:
        director: Decides; knows nothing of Ray.
        perform: What a worker does a job by, as `module:function`.
        locks: A folder for one lock a job, two levels below the run directory.
        stall_timeout: Minutes without a report after which a job is ended.
    """

    def __init__(
        self, director: Director, *, perform: str, locks: Path, stall_timeout: float
    ) -> None:
        super().__init__()
        self.director = director
        self.perform = perform
        self.locks = locks
        self.stall_timeout = stall_timeout
        self.fault: Exception | None = None
        self.exhausted = False
        """Whether the director has said that there are no more jobs."""
        self._jobs: dict[str, str] = {}
        self._deaths: dict[str, list[str]] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return a job as a configuration, None to wait, or FINISHED."""
        if self.fault is not None:
            return Searcher.FINISHED
        try:
            job = self.director.next_job()
        except Exception as error:  # kept in `fault` and raised by the caller of Tune
            self.fault = error
            return Searcher.FINISHED
        if isinstance(job, Idle):
            self.exhausted = job is Idle.FINISHED
            return Searcher.FINISHED if self.exhausted else None
        self._jobs[trial_id] = job.id
        return {
            "job": {"id": job.id, "payload": dict(job.payload)},
            "perform": self.perform,
            "locks": str(self.locks),
            "stall_timeout": self.stall_timeout,
        }

    def reported(self, trial_id: str, report: dict[str, Any]) -> bool:
        """Pass on a report and return whether the trial ends with it.

        The last report is a result or an error. The worker is not asked to go on after it: were it
        to die then, Tune would do the whole job again.
        """
        job = self._jobs.get(trial_id)
        if job is None or self.fault is not None:
            return True
        try:
            message = json.loads(report[MESSAGE])
            if "progress" in message:
                self.director.progressed(job, message["progress"])
                return self.director.stop_reason(job) is not None
            del self._jobs[trial_id]
            if "fault" in message:
                raise rebuilt(message["fault"])
            if "error" in message:
                self.director.failed_job(job, message["error"])
            else:
                self.director.finished_job(job, message["result"])
        except Exception as error:  # kept in `fault` and raised by the caller of Tune
            self.fault = error
        return True

    def died(self, trial_id: str, error: str) -> None:
        """Take in that a worker died; Tune tells by `on_trial_complete` if that is the end."""
        self._deaths.setdefault(trial_id, []).append(_cause(error))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler has passed it on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in that a trial ended; without a result if it was stopped or its worker died."""
        job = self._jobs.pop(trial_id, None)
        deaths = self._deaths.pop(trial_id, [])
        if job is None or self.fault is not None:
            return
        try:
            reason = self.director.stop_reason(job)
            if reason is not None:
                self.director.stopped_job(job, reason)
            elif deaths and (stall := self._stall(job)) is not None:
                self.director.failed_job(job, stall)
            elif deaths:
                times = f" {len(deaths)} times" if len(deaths) > 1 else ""
                died = RuntimeError(f"its worker died{times}: {deaths[-1]}")
                if (fault := run_fault(died, self.director.run)) is not None:
                    raise fault
                self.director.failed_job(job, str(died))
            else:
                self.director.failed_job(job, "its worker was still busy with an earlier trial")
        except Exception as fault:  # kept in `fault` and raised by the caller of Tune
            self.fault = fault

    def _stall(self, job: str) -> str | None:
        return take_stall(self.locks.parent.parent, job, self.stall_timeout)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the director out of the pickle that Tune writes and nobody reads."""
        return {**vars(self), "director": None, "fault": None}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the journal is the state."""


class StopDecided(FIFOScheduler):
    """Passes reports on and stops a trial once the director has no use for it.

    Args:
        searcher: Is told, and decides.
    """

    def __init__(self, searcher: DirectedSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of Ray
        self.searcher = searcher
        self._looked = time.monotonic()

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return STOP or CONTINUE."""
        ends = self.searcher.reported(trial.trial_id, result)
        return TrialScheduler.STOP if ends else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Note why a worker died, whether or not the trial is started again."""
        told = Path(trial.error_file).read_text(encoding="utf8") if trial.error_file else ""
        self.searcher.died(trial.trial_id, told)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Choose as usual, at every step; after a fault, end all.

        Raises:
            Exception: The fault; raised in a report it would be wrapped in another.
            StorageError: If no node is alive any more.
        """
        if self.searcher.fault is not None:
            raise self.searcher.fault
        self._check_alive()
        return super().choose_trial_to_run(tune_controller)

    def _check_alive(self) -> None:
        """Notice that no node is left: Tune would wait for one without a word.

        Raises:
            StorageError: If so.
        """
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        if not any(node["Alive"] for node in ray.nodes()):
            raise StorageError(
                "no node of the Ray cluster is alive any more",
                fix="see its logs under /tmp/ray, then resume the run",
            )


class NoteLost(TrialProgressCallback):
    """Ends the jobs of trials that Tune gave up without a word, and keeps Tune from printing.

    A trial is lost where a reused worker is not free in time; it would be waited for in vain.

    Args:
        limiter: Around the searcher; counts who is at work.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        super().__init__()
        self.limiter = limiter

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look for them before Tune asks for a new trial."""
        for trial in trials:
            if trial.status == Trial.ERROR:
                self.limiter.on_trial_complete(trial.trial_id, error=True)

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        """Print nothing."""

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """Print nothing."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        """Print nothing."""


def _cause(told: str) -> str:
    """Return in a few words what Ray tells of a trial's failures, the last one counting."""
    last = told.rpartition("Failure # ")[2]
    return next((words for sign, words in CAUSES.items() if sign in last), KILLED)
