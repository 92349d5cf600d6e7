"""Jobs for tests, done in Ray's workers: each shows one thing that a worker can do or suffer."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = Callable[[Mapping[str, Any]], None]

PATIENCE = 60.0
"""Seconds after which a job that waits for something fails, so that no test hangs."""


def perform(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Do what `kind` names."""
    kinds = {
        "quick": quick,
        "busy": busy,
        "raises": raises,
        "dies": dies,
        "meets": meets,
        "moves": moves,
    }
    return kinds[job["kind"]](job, report)


def quick(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Report once and say which process did it."""
    report({"step": 1})
    return {"pid": os.getpid()}


def busy(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Report until stopped; then take `tidying` seconds to end."""
    if "patience" in job:
        os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = job["patience"]
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            report({"pid": os.getpid()})
            time.sleep(0.1)
    finally:
        time.sleep(job.get("tidying", 0))
    raise TimeoutError("nobody stopped this job")


def raises(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Raise an error."""
    raise ValueError("no luck")


def dies(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Kill the worker, as many `times` as asked, then end well."""
    report({"pid": os.getpid()})
    for death in range(job["times"]):
        marker = Path(job["run"]) / f"death-{death}"
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"pid": os.getpid()}


def meets(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """End once `others` jobs are at it, which takes that many at the same time."""
    run = Path(job["run"])
    (run / f"here-{os.getpid()}").touch()
    _wait(lambda: len(list(run.glob("here-*"))) == job["others"])
    return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}


def moves(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Say where it runs, and end when it has run on two nodes."""
    import ray

    node, run = ray.get_runtime_context().get_node_id(), Path(job["run"])
    (run / f"node-{node}").touch()
    report({"node": node})
    _wait(lambda: len(list(run.glob("node-*"))) == 2)
    return {"node": node}


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)
