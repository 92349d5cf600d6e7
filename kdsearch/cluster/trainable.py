"""What Ray runs in a worker: one job, whose failure is a result and not a crash."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdsearch.cluster.session import ray_module


def work(config: Mapping[str, Any]) -> None:
    """Do the job in `config` and report its progress, then its result or its error.

    Nothing is done after the last report: a reused worker must be free at once.
    """
    ray_module()
    from ray import tune

    job = config["job"]
    if job is None:
        tune.report({"empty": True})
        return
    try:
        from kdsearch.distill.jobs import perform

        result = perform(job["payload"], lambda progress: tune.report({"progress": progress}))
    except Exception as error:  # whatever a job raises fails this job alone; it is shown
        folder = Path(job["payload"]["run"]) / "failures"
        folder.mkdir(exist_ok=True)
        (folder / f"{job['id']}.txt").write_text(traceback.format_exc(), encoding="utf8")
        last = traceback.format_exception_only(error)[-1].strip()
        tune.report({"error": last})
    else:
        tune.report({"result": result})
