"""What Ray runs in a worker: one job, whose failure is a result and not a crash."""

from __future__ import annotations

import json
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.cluster.session import ray_module
from kdsearch.errors import told

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE = "message"
"""The one key of every report: JSON, since Tune flattens nested results."""


def work(config: Mapping[str, Any]) -> None:
    """Do the job in `config` and report its progress, then its result or its error.

    Nothing is done after the last report: a reused worker must be free at once.
    """
    ray_module()
    from ray import tune

    def tell(kind: str, content: Any) -> None:
        tune.report({MESSAGE: json.dumps({kind: content})})

    job = config["job"]
    try:
        from kdsearch.distill.jobs import perform

        result = perform(job["payload"], partial(tell, "progress"))
    except Exception as error:  # whatever a job raises fails this job alone; it is shown
        folder = Path(job["payload"]["run"]) / "failures"
        folder.mkdir(exist_ok=True)
        (folder / f"{job['id']}.txt").write_text(traceback.format_exc(), encoding="utf8")
        tell("error", told(error))
    else:
        tell("result", result)
