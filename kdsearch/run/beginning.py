"""Whether a directory holds a run that has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import RunError
from kdsearch.storage.folder import DRAFT

if TYPE_CHECKING:
    from pathlib import Path

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
