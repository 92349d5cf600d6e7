"""What of a run directory is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.search.agreement import effective
from kdsearch.search.recorded_files import RecordedFiles
from kdsearch.storage import damaged_files
from kdsearch.storage.sums import is_whole_export

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.events import Record


def recorded_files(records: Sequence[Record]) -> RecordedFiles:
    """Return the digests that a journal has recorded."""
    return RecordedFiles(record.event for record in effective(records))


def damage_of(run: Path, records: Sequence[Record]) -> dict[str, str]:
    """Return what is wrong with files that a run relies on, by path.

    Students that were not tested are left to the jobs that read them: they may be large.
    """
    return damaged_files(run, recorded_files(records).needed())


def missing_exports(run: Path, summary: Mapping[str, Any]) -> list[str]:
    """Return the sizes that confirm tested and whose student is not there, or is damaged."""
    tested = [size["size"] for size in summary["sizes"] if size["confirm"] is not None]
    return [size for size in tested if not is_whole_export(run / "students" / size)]


def damage_warnings(run: Path, records: Sequence[Record], summary: Mapping[str, Any]) -> list[str]:
    """Say what of a run is damaged: its answers, and of a finished one its students.

    What its journal says stands; the files that it speaks of are not what it was read off.
    """
    found = damaged_files(run, recorded_files(records).small())
    told = [f"{path} is damaged ({fault})" for path, fault in found.items()]
    if summary["outcome"] != "interrupted":
        exports = (run / "students").is_dir()  # a journal may be kept without its models
        missing = missing_exports(run, summary) if exports else []
        told += [f"students/{size} is damaged or missing" for size in missing]
    return [f"{line}: kdsearch resume {run} mends it where it can" for line in told]
