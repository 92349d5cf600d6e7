"""Which earlier runs opened the same confirm items: each opening uses them up a little."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = b'"event": "confirm_opened"'
"""Only lines with it are parsed: journals of long runs hold many others."""


class Opening(NamedTuple):
    """A run that opened confirm."""

    run: str
    time: float
    """Seconds since the epoch."""


def earlier_openings(fingerprint: str, runs: Path, *, but: Path | None = None) -> list[Opening]:
    """Return the runs of a folder that opened confirm on these items, the earliest first.

    Args:
        fingerprint: Of the confirm items.
        runs: A folder of run directories.
        but: A run directory to leave out: the present one.
    """
    found = []
    for journal in sorted(runs.glob("*/journal.jsonl")):
        if but is not None and journal.parent.resolve() == but.resolve():
            continue
        times = [time for time, opened in _openings(journal) if opened == fingerprint]
        if times:
            found.append(Opening(journal.parent.name, min(times)))
    return sorted(found, key=lambda opening: opening.time)


def _openings(journal: Path) -> Iterator[tuple[float, str]]:
    """Yield time and fingerprint of every opening; a torn line did not happen."""
    for line in journal.read_bytes().splitlines():
        if MARK in line:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            yield entry.get("time", 0.0), entry.get("fingerprint", "")
