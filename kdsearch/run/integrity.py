"""What of a run directory is damaged, and which files are there before a run has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.search.agreement import effective
from kdsearch.search.recorded_files import RecordedFiles
from kdsearch.storage import damaged_files
from kdsearch.storage.folder import DRAFT
from kdsearch.storage.sums import is_whole_export

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.events import Record

FIRST_FILES = frozenset({"journal.jsonl", "journal.lock", "spec.yaml", "units.json"})
"""What a kill may leave before the manifest: nothing that a run cannot begin over."""


def damage_of(run: Path, records: Sequence[Record]) -> dict[str, str]:
    """Return what is wrong with files that a run relies on, by path.

    Students that were not tested are left to the jobs that read them: they may be large.
    """
    files = RecordedFiles(record.event for record in effective(records))
    return damaged_files(run, files.needed())


def has_begun(run: Path) -> bool:
    """Whether a directory holds a run that is worth resuming.

    Raises:
        RunError: If it is there and holds anything else.
    """
    if not run.exists():
        return False
    if (run / "manifest.json").exists():
        return True
    if not run.is_dir():
        raise RunError("it is no directory", where=str(run), fix="name another run directory")
    journal = run / "journal.jsonl"
    told = journal.is_file() and journal.stat().st_size > 0
    found = {file.name.removesuffix(DRAFT) for file in run.iterdir()} - {"manifest.json"}
    if told or not found <= FIRST_FILES:
        raise RunError(
            "it is there already, and is no whole run directory: it has no manifest.json",
            where=str(run),
            fix="name another run directory, or restore its manifest.json",
        )
    return False


def missing_exports(run: Path, summary: Mapping[str, Any]) -> list[str]:
    """Return the sizes that confirm tested and whose student is not there, or is damaged."""
    tested = [size["size"] for size in summary["sizes"] if size["confirm"] is not None]
    return [size for size in tested if not is_whole_export(run / "students" / size)]
