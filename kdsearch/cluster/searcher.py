"""Lets Ray Tune ask the director for jobs and tell it what came of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from kdsearch.cluster.trainable import MESSAGE
from kdsearch.search.policy import Idle

if TYPE_CHECKING:
    from kdsearch.search.director import Director


class DirectedSearcher(Searcher):
    """A Tune searcher that has no opinion of its own.

    Exceptions would kill the whole experiment in the middle of other trials: the first one is kept
    in `fault`, ends the search, and is raised by whoever started it.

    Args:
        director: Decides; knows nothing of Ray.
    """

    def __init__(self, director: Director) -> None:
        super().__init__()
        self.director = director
        self.fault: BaseException | None = None
        self._jobs: dict[str, str] = {}

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
            return None if job is Idle.WAIT else Searcher.FINISHED
        self._jobs[trial_id] = job.id
        return {"job": {"id": job.id, "payload": dict(job.payload)}}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on progress; the last report is a result or an error."""
        job = self._jobs.get(trial_id)
        if job is None or self.fault is not None or MESSAGE not in result:
            return
        message = json.loads(result[MESSAGE])
        try:
            if "progress" in message:
                self.director.progressed(job, message["progress"])
                return
            del self._jobs[trial_id]
            if "error" in message:
                self.director.failed_job(job, message["error"])
            else:
                self.director.finished_job(job, message["result"])
        except Exception as error:  # kept in `fault` and raised by the caller of Tune
            self.fault = error

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in that a trial ended without a result: stopped, or its worker died."""
        job = self._jobs.pop(trial_id, None)
        if job is None or self.fault is not None:
            return
        try:
            reason = self.director.stop_reason(job)
            if reason is not None and not error:
                self.director.stopped_job(job, reason)
            else:
                self.director.failed_job(job, "its worker died")
        except Exception as fault:  # kept in `fault` and raised by the caller of Tune
            self.fault = fault

    def should_stop(self, trial_id: str) -> bool:
        """Whether a running trial has become useless."""
        if self.fault is not None:
            return True
        job = self._jobs.get(trial_id)
        return job is not None and self.director.stop_reason(job) is not None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the director out of the pickle that Tune writes and nobody reads."""
        return {**vars(self), "director": None, "fault": None}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the journal is the state."""


class StopDecided(FIFOScheduler):
    """Stops a trial at its next report once the searcher has no use for it."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return STOP or CONTINUE."""
        searcher = tune_controller.search_alg.searcher
        while not isinstance(searcher, DirectedSearcher):  # Tune wraps it to limit concurrency
            searcher = searcher.searcher
        stop = searcher.should_stop(trial.trial_id)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
