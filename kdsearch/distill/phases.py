"""How far work beside training has come: answers to a split, signals of a teacher.

Whoever does it calls `progress(done, of)` as often as it likes; a report goes out every few
seconds, which also shows that the job is alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from kdsearch.distill.progress import SECONDS_BETWEEN_REPORTS

Progress = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""


def unheard(done: int, of: int) -> None:
    """Tell nobody."""


def phase(report: Callable[[Mapping[str, Any]], None], name: str) -> Progress:
    """Return what reports the progress of a phase.

    Args:
        report: Told `phase`, `done` and `of`, every `SECONDS_BETWEEN_REPORTS` at most.
        name: `dev`, `train`, `confirm`: answers to a split; `signals`: a teacher's; `ladder`: its
            preparation.
    """
    reported = time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            report({"phase": name, "done": done, "of": of})

    return progress
