"""Lets a run that is told to end do so as one that is interrupted by Ctrl-C."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ("SIGTERM", "SIGHUP")
"""Sent by a cluster's scheduler at the time limit, and by a terminal that closes."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt when the process is told to end.

    A signal that is ignored, as by `nohup`, or handled already stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
