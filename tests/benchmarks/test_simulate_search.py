from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.simulate_search", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_small_simulation_prints_every_requirement() -> None:
    done = simulate("--searches", "20", "--processes", "1")
    assert done.stderr == ""
    assert "must reach" in done.stdout
    assert "today: full grid, score" in done.stdout


@pytest.mark.parametrize("run", sorted((ROOT / "benchmarks" / "recorded").glob("*/journal.jsonl")))
def test_recorded_runs_replay(run: Path) -> None:
    done = simulate("--replay", str(run.parent))
    assert done.returncode == 0, done.stderr
    assert run.parent.name in done.stdout
