"""Lets a run that is told to end do so once, whoever tells it and how often."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Sent by Ctrl-C, by a cluster's scheduler at the time limit, and by a terminal that closes."""

UNANSWERED = (signal.SIG_DFL, signal.default_int_handler)
"""What answers a signal where nobody has asked for anything else."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt when the process is told to end, and be deaf to further signals.

    The process ends after the first one, and Ray takes a second for that: another Ctrl-C would end
    in its traceback. A signal that is ignored, as by `nohup`, or handled already stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {
        number: known for number in numbers if (known := signal.getsignal(number)) in UNANSWERED
    }
    told = False

    def end(number: int, frame: Any) -> None:
        nonlocal told
        told = True
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, end)
    try:
        with _silent_keys():
            yield
    finally:
        for number, known in before.items() if not told else ():
            signal.signal(number, known)


@contextmanager
def _silent_keys() -> Iterator[None]:
    """Keep the terminal from writing `^C`, which would move what is drawn in place."""
    try:
        termios: Any = import_module("termios")  # not on Windows
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal) if _in_front(terminal) else None
    except (ImportError, OSError, ValueError, AttributeError):  # standard input is no terminal
        before = None
    if before is None:
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHOCTL
    termios.tcsetattr(terminal, termios.TCSANOW, silent)
    try:
        yield
    finally:
        if _in_front(terminal):
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _in_front(terminal: int) -> bool:
    """Whether the process may set its terminal: one in the background would be stopped.

    Raises:
        OSError: If it is no terminal of this process.
    """
    return os.tcgetpgrp(terminal) == os.getpgrp()
