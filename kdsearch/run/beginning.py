"""Whether a directory holds a run that has begun, and whose run it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.events import RunStarted
from kdsearch.storage.folder import DRAFT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.events import Record

FIRST_FILES = frozenset({"journal.jsonl", "journal.lock", "spec.yaml", "units.json"})
"""What a kill may leave before the manifest: nothing that a run cannot begin over."""


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


def check_own(records: Sequence[Record], manifest: Mapping[str, Any], *, resumed: bool) -> None:
    """Refuse a journal of another run than the manifest's.

    Args:
        records: Of the journal, which no other process writes any more.
        manifest: What the run recorded when it began.
        resumed: Whether the run began before.

    Raises:
        RunError: If it is another's, or has been begun in the meantime.
    """
    if records and not resumed:
        raise RunError(
            "another process has begun a run in this directory in the meantime",
            fix="name another run directory",
        )
    known = {record.event.id for record in records if isinstance(record.event, RunStarted)}
    if others := known - {manifest.get("id"), None}:
        raise RunError(
            f"the journal is of another run ({sorted(map(str, others))[0][:8]}) than the manifest",
            fix="restore both from one run",
        )


def check_complete(run: Path) -> None:
    """Refuse a run that has results and no journal: they would all be made again.

    Raises:
        RunError: If so.
    """
    kept = [name for name in ("summary.json", "trials", "students") if (run / name).exists()]
    if kept and not (run / "journal.jsonl").exists():
        raise RunError(
            f"journal.jsonl is missing, and {' and '.join(kept)} are there",
            where=str(run),
            fix="restore it, or start a new run in another directory",
        )
