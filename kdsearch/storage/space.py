"""Free space on disk, and how much a training takes of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kdsearch.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHT_BYTES = 4
"""Of a parameter in float32, as models are saved."""

CHECKPOINTS = 2 * 3
"""Times the weights, of a training: weights and the two moments of AdamW, in the checkpoint that is
being written and in the one before it."""

LEAST_FREE = 2**20
"""Bytes; below, a library's failure is put down to the disk."""


def trial_bytes(parameters: int) -> int:
    """Return what one training keeps at most: the model, and its checkpoints on the way."""
    return WEIGHT_BYTES * parameters * (1 + CHECKPOINTS)


def exhausted(folder: Path) -> bool:
    """Whether the disk of a folder is full."""
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE
    except OSError:
        return False


def check_space(folder: Path, needed: float, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: There, or to be made.
        needed: Bytes.
        what: What needs them.

    Raises:
        StorageError: If less is free.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageError(
            f"{what} needs about {_size(needed)} of disk, and {_size(free)} are free",
            where=str(folder),
            fix="make room, or name a folder on another disk",
        )


def _size(count: float) -> str:
    """Return a number of bytes in words; see `report.numbers` for what a person reads."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
