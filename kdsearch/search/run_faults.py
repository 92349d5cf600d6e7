"""Errors of a job that end the whole run, told apart from those that fail one trial.

Other data than the driver's make every trial worthless; a full disk, a lost mount or a damaged file
says nothing about a trial, and must not count as evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import (
    DamagedFileError,
    InconsistentDataError,
    KdsearchError,
    StorageError,
)
from kdsearch.storage import exhausted, storage_fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KINDS: Mapping[str, type[KdsearchError]] = {
    kind.__name__: kind for kind in (InconsistentDataError, StorageError, DamagedFileError)
}
"""What crosses from a worker to the driver, by name."""


def run_fault(error: BaseException, run: Path) -> KdsearchError | None:
    """Return the error that ends the run; None where only the job fails.

    Args:
        error: What the job raised.
        run: The run directory.
    """
    if isinstance(error, InconsistentDataError | StorageError | DamagedFileError):
        return error
    fault = storage_fault(error)
    if fault is None and exhausted(run):
        fault = "no space left on device"
    if fault is None and not run.is_dir():
        fault = "the run directory is not there any more"
    if fault is None:
        return None
    return StorageError(
        f"the machine failed, not the search: {fault}",
        where=str(run),
        fix="make room or restore the disk, then resume the run",
    )


def described(fault: KdsearchError) -> dict[str, str | None]:
    """Return a fault as plain data."""
    return {
        "kind": type(fault).__name__,
        "message": fault.message,
        "where": fault.where,
        "fix": fault.fix,
    }


def rebuilt(fault: Mapping[str, str | None]) -> KdsearchError:
    """Return the fault that `described` made plain."""
    kind = KINDS[str(fault["kind"])]
    return kind(str(fault["message"]), where=fault["where"], fix=fault["fix"])
