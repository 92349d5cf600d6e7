"""Which earlier runs opened the same confirm items: each opening uses them up a little."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MARK = b'"event": "confirm_opened"'
"""Only lines with it are parsed: journals of long runs hold many others."""


NAMED = 3
"""Runs that a warning names; the rest are counted."""


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
        but: The present run's directory: it and what came after its own opening are left out.
    """
    own = None if but is None else _opened(but / "journal.jsonl", fingerprint)
    found = []
    for journal in sorted(runs.glob("*/journal.jsonl")):
        if but is not None and journal.parent.resolve() == but.resolve():
            continue
        time = _opened(journal, fingerprint)
        if time is not None and (own is None or time < own):
            found.append(Opening(journal.parent.name, time))
    return sorted(found, key=lambda opening: opening.time)


def reuse_warning(runs: Sequence[str]) -> str:
    """Say what it means that earlier runs opened the same confirm items."""
    named = ", ".join(runs[:NAMED])
    others = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return (
        f"the same confirm items were opened before, by {named}{others}: the chance of a false "
        "match holds for each run by itself, not for a choice made after an earlier answer"
    )


def _opened(journal: Path, fingerprint: str) -> float | None:
    """Return when a run first opened confirm on some items."""
    if not os.access(journal, os.R_OK):  # none yet, or another user's
        return None
    times = (time for time, opened in _openings(journal) if opened == fingerprint)
    return min(times, default=None)


def _openings(journal: Path) -> Iterator[tuple[float, str]]:
    """Yield time and fingerprint of every opening; a torn line did not happen."""
    for line in journal.read_bytes().splitlines():
        if MARK in line:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            yield entry.get("time", 0.0), entry.get("fingerprint", "")
