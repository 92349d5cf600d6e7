"""A share of `benchmarks.chaos`, in a process of its own: its children are forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="audits file operations by /proc, mounts tmpfs")
def test_nothing_is_lost_or_silently_different() -> None:
    share = ("--every", "290", "--flips", "1", "--disks", "1", "--tables", "2", "--specs", "2")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", *share],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    heading, *rows = [line.rsplit(maxsplit=6) for line in ended.stdout.strip().splitlines()]
    assert heading[2:] == ["same", "told", "silent", "wedged", "repeated"]
    campaigns = {row[0].partition(":")[0] for row in rows}
    if "full disk: not run" in ended.stderr:  # mounting needs rights that a container may lack
        campaigns.add("full disk")
    mutated = {"mutated tables", "mutated specs", "mutated plugins"}
    assert campaigns == {"kills", "flips", "full disk", "removal"} | mutated
