"""A share of `benchmarks.chaos`, in a process of its own: its children are forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="audits file operations by /proc, mounts tmpfs")
@pytest.mark.parametrize(
    ("campaign", "share", "least"),
    [("kills", ("--every", "97"), 4), ("flips", ("--flips", "6"), 6), ("removal", (), 2)],
)
def test_nothing_is_lost_or_silently_different(
    campaign: str, share: tuple[str, ...], least: int
) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--only", campaign, *share]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False, timeout=500
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    heading, *rows = [line.rsplit(maxsplit=6) for line in ended.stdout.strip().splitlines()]
    assert heading[2:] == ["same", "told", "silent", "wedged", "repeated"]
    assert sum(int(row[1]) for row in rows) >= least
