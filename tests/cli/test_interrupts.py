from __future__ import annotations

import os
import pty
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from kdsearch.cli.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_from_a_terminal() -> Iterator[None]:
    """Let both signals end the process, also under `nohup`."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, answer in before.items():
        signal.signal(number, answer)


@pytest.mark.parametrize("number", ENDING)
def test_being_told_to_end_is_an_interrupt(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    for again in ENDING:  # the process ends: nothing more is to be said of it
        signal.raise_signal(again)


def test_a_run_that_ends_by_itself_leaves_the_answers_as_they_were() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


ECHO = """
import termios
from kdsearch.cli.interrupts import interruptible
echo = lambda: bool(termios.tcgetattr(0)[3] & termios.ECHOCTL)
told = [echo()]
with interruptible():
    told.append(echo())
raise SystemExit([*told, echo()] != [True, False, True])
"""


def test_the_terminal_writes_no_keys_while_a_run_draws() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", ECHO])
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
