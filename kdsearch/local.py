"""Runs a director's jobs one after the other in this process, without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import told
from kdsearch.search.rules import Idle
from kdsearch.search.run_faults import run_fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.search.director import Director
    from kdsearch.spec.models import SearchSpec


class _Stopped(Exception):  # no error: it unwinds a job that is no longer needed
    """Raised inside a job's report to end it."""


def run_locally(director: Director, spec: SearchSpec, folder: Path) -> None:
    """Do every job here and now.

    A trial that raises fails alone, as it would in a worker; other data than the driver's end the
    run.
    """
    from kdsearch.distill.jobs import perform

    while not isinstance(job := director.next_job(), Idle):

        def report(progress: Mapping[str, Any], job_id: str = job.id) -> None:
            director.progressed(job_id, progress)
            if director.stop_reason(job_id) is not None:
                raise _Stopped

        try:
            result = perform(job.payload, report)
        except _Stopped:
            director.stopped_job(job.id, str(director.stop_reason(job.id)))
        except Exception as error:  # whatever a job raises fails this job alone; it is shown
            if (fault := run_fault(error, director.run)) is not None:
                raise fault from error
            director.failed_job(job.id, told(error))
        else:
            director.finished_job(job.id, result)
    director.finish()
