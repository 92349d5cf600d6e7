"""Calls plugins, whatever they do, and says in one line what they raised and where.

Every call of a plugin's code stands within a `PluginCall`, or is `Isolated` where it is looked at
only to list it. Ctrl-C and the errors of kdsearch
itself pass through; anything else is the plugin's fault, a script that ends itself included.
"""

from __future__ import annotations

import importlib
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.errors import KdsearchError, PluginError
from kdsearch.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LONGEST = 200
"""Characters of an error's text: some carry the whole of a file that they could not read."""

BETWEEN = (
    f"{Path(__file__).parents[1]}{os.sep}",
    f"{Path(importlib.__file__).parent}{os.sep}",
    "<frozen importlib",
    f"{os.sep}pluggy{os.sep}",
    f"{os.sep}pydantic{os.sep}",
)
"""Parts of the names of files whose frames are between kdsearch and a plugin."""


class PluginCall:
    """Turns what a plugin raises into a `PluginError` that names it; used by `with`.

    Args:
        where: Whose code is called, such as `domain 'mine'`.
        what: Which part of it, such as `load`.
        fix: What its author should do.
        ends_only: Leave ordinary exceptions as they are, since a caller knows them, and turn only
            those that would end the process, such as `sys.exit`.
    """

    def __init__(
        self, where: str, what: str, fix: str | None = None, *, ends_only: bool = False
    ) -> None:
        self.where = where
        self.what = what
        self.fix = fix
        self.kept = Exception if ends_only else KdsearchError

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or is_interruption(error) or isinstance(error, self.kept):
            return
        message = f"{self.what} raised {raised(error)}"
        raise PluginError(message, where=self.where, fix=self.fix) from error


class Isolated:
    """Goes on after whatever a plugin raises, and has it told; used by `with`.

    Args:
        tell: Takes one line that says what was raised.
        what: What was done, to begin the line.
    """

    def __init__(self, tell: Callable[[str], object], what: str = "") -> None:
        self.tell = tell
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or is_interruption(error):
            return False
        self.tell(f"{self.what} {raised(error)}")
        return True


def is_interruption(error: BaseException) -> bool:
    """Whether an error is the user's Ctrl-C, no subclass that a plugin made of it."""
    return type(error) is KeyboardInterrupt


def raised(error: BaseException) -> str:
    """Return `ValueError: no such column, at /home/me/mine.py:12`.

    Args:
        error: As caught where the plugin was called: the first frame below is the plugin's.
    """
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    if isinstance(error, SystemExit):
        text = f"SystemExit: sys.exit({shown(error.code)}) was called"
    text = masked(text)  # before it is cut, which would leave half of a secret
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    place = _place(error)
    return f"{text}, at {place}" if place else text


def shown(value: object, longest: int = 80) -> str:
    """Return a value of a plugin as it is written, cut; its `__repr__` may raise."""
    with Isolated(lambda fault: None):
        return masked(repr(value))[:longest]
    return f"<{type(value).__name__} whose __repr__ raises>"


def _place(error: BaseException) -> str | None:
    """Return file and line: the deepest frame in the file that was called first."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}" if error.filename else None
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frames = [each for each in frames if not any(part in each.filename for part in BETWEEN)]
    own = [each for each in frames if each.filename == frames[0].filename]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None
