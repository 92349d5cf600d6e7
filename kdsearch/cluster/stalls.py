"""Ends a job that hangs, and keeps where it hung.

Python's own watchdog (faulthandler) writes the stack of every thread and ends the process, also
where the job holds the interpreter's lock. What it has written tells the next attempt, or the
driver, that the job did not crash but hang.
"""

from __future__ import annotations

import faulthandler
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALLS = "stalls"

FOLDER = Path("ray", STALLS)
"""In the run directory."""


@contextmanager
def watched(run: Path, job: str, seconds: float) -> Iterator[Callable[[], None]]:
    """End this process if a job says nothing for too long.

    Args:
        run: The run directory.
        job: Its id.
        seconds: How long it may say nothing.

    Yields:
        To be called whenever the job says something.
    """
    owned, file = Folder(run), FOLDER / f"{job}.txt"
    owned.make(FOLDER)
    with owned.stream(file) as stream:

        def alive() -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=stream)

        alive()
        try:
            yield alive
        finally:
            faulthandler.cancel_dump_traceback_later()
    owned.remove(file)


def take_stall(run: Path, job: str, minutes: float) -> str | None:
    """Return what is known of an attempt that hung; None if none did.

    The stacks are kept with the tracebacks of what failed.
    """
    owned, file = Folder(run), run / FOLDER / f"{job}.txt"
    if not file.is_file() or not (stacks := file.read_text(encoding="utf8", errors="replace")):
        return None
    kept = owned.write(Path("failures", f"{job}.txt"), stacks)
    owned.remove(run.absolute() / FOLDER / f"{job}.txt")
    return f"it said nothing for {minutes:g} minutes and was ended; where it hung is in {kept}"
