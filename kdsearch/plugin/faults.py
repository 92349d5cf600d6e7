"""Says in one line what a plugin raised, and where in its own code."""

from __future__ import annotations

import traceback

LONGEST = 200
"""Characters of an error's text: some carry the whole of a file that they could not read."""


def raised(error: BaseException) -> str:
    """Return `ValueError: no such column, at /home/me/mine.py:12`.

    Args:
        error: As caught where the plugin was called: the first frame below is the plugin's.
    """
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    place = _place(error)
    return f"{text}, at {place}" if place else text


def _place(error: BaseException) -> str | None:
    """Return file and line: the deepest frame in the file that was called first."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not frame.filename.startswith("<frozen importlib")
    ]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None
