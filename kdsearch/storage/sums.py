"""Checksums that an exported folder carries, in the form that `sha256sum -c` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import DamagedFileError
from kdsearch.storage.digests import digest
from kdsearch.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

SUMS = "SHA256SUMS"
"""The file of checksums."""

CARD = "README.md"
"""People edit it: it has none."""


def write_sums(folder: Path) -> None:
    """Write the checksum of every file of a folder but its card."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    named = {file.relative_to(folder).as_posix(): file for file in files}
    lines = [f"{digest(file)}  {name}" for name, file in named.items() if name not in (SUMS, CARD)]
    Folder(folder).write(SUMS, "\n".join(lines) + "\n")


def check_sums(folder: Path) -> None:
    """Refuse a folder whose files are not what its checksums say; one without them passes.

    Raises:
        DamagedFileError: If one is damaged or missing, named.
    """
    file = folder / SUMS
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf8", errors="replace").splitlines():
        known, _, name = line.partition("  ")
        place = folder / name
        if ".." in place.parts or not place.is_file() or digest(place) != known:
            raise DamagedFileError(
                f"{name or 'a line of it'} is not what its checksum says",
                where=str(file),
                fix="restore the file; of a run directory, `kdsearch resume` exports it again",
            )


def is_whole_export(folder: Path) -> bool:
    """Whether an exported student is there, and its files are what its checksums say."""
    if not (folder / "config.json").is_file():
        return False
    try:
        check_sums(folder)
    except DamagedFileError:
        return False
    return True
