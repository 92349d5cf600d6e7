"""What Ray runs in a worker: one job, whose failure is a result and not a crash."""

from __future__ import annotations

import json
import traceback
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdsearch.cluster.session import ray_module
from kdsearch.errors import InconsistentDataError, RunError, told
from kdsearch.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

MESSAGE = "message"
"""The one key of every report: JSON, since Tune flattens nested results."""

SECONDS_TO_LET_GO = 60.0
"""For a worker that Ray has given up to be gone from the files of its job."""


def work(config: Mapping[str, Any]) -> None:
    """Do a job, report its progress, then its result or its error.

    Nothing is done after the last report: a reused worker must be free at once.

    Args:
        config: `job` (`id` and `payload`), `perform` (`module:function`), `locks` (a folder).
    """
    ray_module()
    from ray import tune

    def tell(kind: str, content: Any) -> None:
        tune.report({MESSAGE: json.dumps({kind: content})})

    tell(*_outcome(config, partial(tell, "progress")))


def _outcome(
    config: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]
) -> tuple[str, Any]:
    """Return `result`, `error` or `fault` of a job; what it had in memory is free then.

    A fault is an error that ends the run, by its parts.
    """
    job = config["job"]
    try:
        with _held(Path(config["locks"]), job["id"]):
            return "result", resolve_name(config["perform"])(job["payload"], report)
    except Exception as error:  # whatever a job raises fails this job alone; it is shown
        folder = Path(job["payload"]["run"]) / "failures"
        folder.mkdir(exist_ok=True)
        (folder / f"{job['id']}.txt").write_text(masked(traceback.format_exc()), encoding="utf8")
        if isinstance(error, InconsistentDataError):
            parts = {"message": error.message, "where": error.where, "fix": error.fix}
            return "fault", {key: part and masked(part) for key, part in parts.items()}
        return "error", told(error)


def _held(folder: Path, job: str) -> AbstractContextManager[object]:
    """Take the lock of a job, to be left by `with`: at most one process writes its files.

    A worker may outlive its node's or driver's connection to Ray for a while, and its job is then
    already given to another. The system releases the lock of a process that dies.

    Raises:
        RunError: If another worker does not let go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(folder / f"{job}.lock").acquire(timeout=SECONDS_TO_LET_GO)
    except Timeout as error:
        raise RunError(f"another worker is still at job {job}", where=str(folder)) from error
