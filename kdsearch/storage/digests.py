"""Digests of files and folders, by which damage is found."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def digest(place: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of all files of a folder.

    A file that has not been touched since is not read twice by one process.

    Raises:
        OSError: If there is none, or it cannot be read.
    """
    if not place.is_dir():
        known = place.stat()
        return _of_file(place, known.st_ino, known.st_size, known.st_mtime_ns)
    found = hashlib.sha256()
    for file in sorted(file for file in place.rglob("*") if file.is_file()):
        found.update(f"{file.relative_to(place).as_posix()}\n{digest(file)}\n".encode())
    return found.hexdigest()


def damaged_files(root: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with files or folders, by their path; nothing of whole ones.

    Args:
        root: The paths are relative to it.
        known: The digest of each when it was written.
    """
    found: dict[str, str] = {}
    for path, expected in known.items():
        try:
            if digest(root / path) != expected:
                found[path] = "it is not what was written"
        except FileNotFoundError:
            found[path] = "it is missing"
        except OSError as error:
            found[path] = f"it cannot be read: {error.strerror}"
    return found


@lru_cache(maxsize=4096)
def _of_file(file: Path, node: int, size: int, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
