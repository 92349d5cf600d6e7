"""How long a warm worker takes from the end of one trial to the first report of the next.

    python benchmarks/warm_worker.py

Runs the quickstart's search through Ray with one slot and one training step a trial, and reads the
times off the journal. What it measures holds model building, dev before training and the Trainer's
set-up; the first trial is left out, for its worker has just prepared the teacher.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kdsearch.events import TrialFinished, TrialProgress
from kdsearch.search.journal import read

SPEC = Path(__file__).parents[1] / "specs" / "quickstart.yaml"
SETTINGS = (
    "teachers.0.fine_tune.max_steps=50",
    "train.max_steps=1",
    "resources.max_concurrent=1",
    "search.strategy=exhaustive",
)


def main() -> None:
    """Run the search and print the gaps."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        sets = [part for setting in SETTINGS for part in ("--set", setting)]
        command = [sys.executable, "-m", "kdsearch", "run", str(SPEC), *sets, "--force"]
        subprocess.run([*command, "--run-dir", str(run), "--display", "none"], check=False)
        gaps, ended = [], None
        for record in read(run / "journal.jsonl"):
            if isinstance(record.event, TrialFinished):
                ended = record.time
            elif isinstance(record.event, TrialProgress) and ended is not None:
                gaps.append(record.time - ended)
                ended = None
    print(
        f"{len(gaps)} trials: median {statistics.median(gaps):.2f} s, longest {max(gaps):.2f} s "
        f"({os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
