"""How long a warm worker takes from the end of one trial to the first report of the next.

    python benchmarks/warm_worker.py [--steps 200]

Runs the quickstart's search through Ray with one slot and few training steps. The time between is
split into handing over (journal, policy, Ray), building the model, and what comes before the first
report: answers to dev before training, the Trainer's set-up and the first step. The first trial is
left out, for its worker has just prepared the teacher.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from kdsearch.cluster.launch import run_jobs
from kdsearch.events import TrialFinished, TrialProgress
from kdsearch.plugin.host import Host
from kdsearch.plugin.ladders import ScratchLadder
from kdsearch.run import run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[1]
SETTINGS = (
    "teachers.0.fine_tune.max_steps=50",
    "resources.max_concurrent=1",
    "search.strategy=exhaustive",
)
CLOCK = "clock.jsonl"


class Gap(NamedTuple):
    """Seconds between two trials."""

    handing_over: float
    building: float
    preparing: float

    @property
    def besides_building(self) -> float:
        """All but the model's building."""
        return self.handing_over + self.preparing


def perform(job: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Do a job in a worker and note when it began and how long it built its model."""
    from kdsearch.distill import jobs

    begun, built, build = time.time(), [0.0], ScratchLadder.build

    def clocked(*arguments: Any) -> Any:
        start = time.perf_counter()
        student = build(*arguments)
        built[0] = time.perf_counter() - start
        return student

    with patch.object(ScratchLadder, "build", clocked):
        result = jobs.perform(job, report)
    if job["kind"] == "train":
        line = {"trial": job["trial"], "begun": begun, "built": built[0]}
        with (Path(job["run"]) / CLOCK).open("a", encoding="utf8") as stream:
            stream.write(json.dumps(line) + "\n")
    return result


def gaps(folder: Path) -> list[Gap]:
    """Read the gaps between the trials of a run off its journal and the worker's clock."""
    lines = [json.loads(line) for line in (folder / CLOCK).read_text("utf8").splitlines()]
    clock = {line["trial"]: line for line in lines}
    found, ended = [], None
    for record in read(folder / "journal.jsonl"):
        if isinstance(record.event, TrialFinished):
            ended = record.time
        elif isinstance(record.event, TrialProgress) and record.event.trial and ended is not None:
            line = clock[record.event.trial]
            preparing = record.time - line["begun"] - line["built"]
            found.append(Gap(line["begun"] - ended, line["built"], preparing))
            ended = None
    return found


def main(steps: int) -> None:
    """Run the search and print the gaps."""
    # Workers must find this module too.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

    def execute(director: Any, spec: Any, folder: Path) -> None:
        run_jobs(director, spec.resources, folder, perform="benchmarks.warm_worker:perform")

    host = Host()
    settings = (*SETTINGS, f"train.max_steps={steps}")
    spec = load_spec(ROOT / "specs" / "quickstart.yaml", host, settings)
    with tempfile.TemporaryDirectory() as folder:
        run(spec, host, Path(folder) / "run", execute, force=True)
        found = gaps(Path(folder) / "run")
    print(f"{len(found)} trials of {steps} steps, {os.cpu_count()} cores; seconds:")
    for name in (*Gap._fields, "besides_building"):
        seconds = [getattr(gap, name) for gap in found]
        words = name.replace("_", " ")
        print(f"  {words:17} median {statistics.median(seconds):.2f}, longest {max(seconds):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="training steps of each trial")
    main(parser.parse_args().steps)
