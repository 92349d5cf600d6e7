"""The errors a user can see and the exit codes that a command ends with.

Raised where the fact is known, rendered once by the command line.
"""

from __future__ import annotations

import traceback
from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING

from kdsearch.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """How a command ended."""

    MATCH = 0
    """A student matched its teacher, or the command did what was asked."""
    NO_MATCH = 1
    """The run finished and no student matched."""
    USAGE = 2
    """The command line, the spec, or the data it names is wrong."""
    PLUGIN = 3
    """A plugin problem blocked the run."""
    TRIALS_FAILED = 4
    """No student matched and some trials failed."""
    INTERNAL = 70
    """A fault of kdsearch itself."""
    MACHINE = 75
    """The machine failed, such as a full disk; no result was lost and the run can be resumed."""
    INTERRUPTED = 130
    """Stopped by the user; the run can be resumed."""


class KdsearchError(Exception):
    """A fault that the user can mend: one line that says what, where and how.

    Args:
        message: What is wrong, with the allowed values where there are any.
        where: The place, such as `spec.yaml:12:3`, a file or a plugin.
        fix: What to do next.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.message = message
        self.where = where
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.fix})" if self.fix else ""
        return f"{place}{self.message}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.where, self.fix)


def _rebuild(
    kind: type[KdsearchError], message: str, where: str | None, fix: str | None
) -> KdsearchError:
    """Rebuild an error that crossed a process border, keywords included."""
    return kind(message, where=where, fix=fix)


def told(error: BaseException) -> str:
    """Return an error as one line: a user's fault in its own words, others after their kind.

    Secrets of the environment are masked.
    """
    if isinstance(error, KdsearchError):
        return masked(str(error))
    return masked(traceback.format_exception_only(error)[-1].strip())


class SpecError(KdsearchError):
    """The spec or the command line asks for something impossible."""


class DataError(KdsearchError):
    """A data file is missing, malformed, or leaves a split empty."""


class ModelError(KdsearchError):
    """A model folder is missing, is none, or does not fit its use."""


class RunError(KdsearchError):
    """A run directory exists already, is none, or belongs to another spec."""


class DamagedFileError(RunError):
    """A file of a run directory is not what was written."""


class StorageError(RunError):
    """Files cannot be written or are lost: no fault of a trial, and no evidence about it.

    It ends the run, which can be resumed.
    """

    exit_code = ExitCode.MACHINE


class PluginError(KdsearchError):
    """A plugin is broken or missing where the spec needs it."""

    exit_code = ExitCode.PLUGIN


class InconsistentDataError(PluginError):
    """A domain gives other data at one load than at another; no trial of the run can be trusted."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Name the nearest allowed word, then all of them.

    Args:
        word: What the user wrote.
        allowed: What could have been written.

    Returns:
        A clause such as `did you mean 'depth'? allowed: depth, scratch`.
    """
    names = sorted(allowed)
    listing = f"allowed: {', '.join(names)}" if names else "none is available"
    near = get_close_matches(word, names, n=1)
    return f"did you mean '{near[0]}'? {listing}" if near else listing
