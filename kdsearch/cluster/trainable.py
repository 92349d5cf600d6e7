"""What Ray runs in a worker: one job, whose failure is a result and not a crash."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdsearch.cluster.session import ray_module
from kdsearch.cluster.stalls import take_stall, watched
from kdsearch.errors import RunError, StorageError, told
from kdsearch.masking import masked
from kdsearch.search.run_faults import described, run_fault
from kdsearch.storage import Folder

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
        config: `job` (`id` and `payload`), `perform` (`module:function`), `locks` (a folder),
            `stall_timeout` (minutes without a report after which the process ends).
    """
    ray_module()
    from ray import tune

    def tell(kind: str, content: Any) -> None:
        tune.report({MESSAGE: json.dumps({kind: content})})

    run, job, minutes = Path(config["locks"]).parent.parent, config["job"], config["stall_timeout"]
    if not Path(config["locks"]).parent.is_dir():  # the driver has made it
        lost = "the run directory is not there: is it mounted on this node?"
        fault = StorageError(lost, where=str(run), fix="mount it, then resume the run")
        tell("fault", described(fault))
        return
    if (stalled := take_stall(run, job["id"], minutes)) is not None:
        tell("error", stalled)
        return
    with watched(run, job["id"], 60.0 * minutes) as alive:

        def progress(content: Any) -> None:
            alive()
            tell("progress", content)

        outcome = _outcome(config, progress)
    tell(*outcome)


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
        run = Path(job["payload"]["run"])
        if (fault := run_fault(error, run)) is not None:
            return "fault", {key: part and masked(part) for key, part in described(fault).items()}
        text = masked(traceback.format_exc())
        Folder(run).write(Path("failures", f"{job['id']}.txt"), text)
        return "error", told(error)


def _held(folder: Path, job: str) -> AbstractContextManager[object]:
    """Take the lock of a job, to be left by `with`: at most one process writes its files.

    A worker may outlive its node's or driver's connection to Ray for a while, and its job is then
    already given to another. The system releases the lock of a process that dies.

    Raises:
        RunError: If another worker does not let go.
    """
    Folder(folder.parent).make(folder.name)
    try:
        return FileLock(folder / f"{job}.lock").acquire(timeout=SECONDS_TO_LET_GO)
    except Timeout as error:
        raise RunError(f"another worker is still at job {job}", where=str(folder)) from error
