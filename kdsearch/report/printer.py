"""Event printers: what `--display` chooses between, each a sink for the journal's records."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from kdsearch.report import numbers
from kdsearch.report.messages import ProgressGate, message
from kdsearch.report.state import RunState
from kdsearch.report.visible import visible, visible_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from kdsearch.events import Record


class Display(StrEnum):
    """How a run is shown while it goes on."""

    AUTO = "auto"
    """Rich on a terminal, plain elsewhere."""
    RICH = "rich"
    """A table of sizes that is drawn anew as trials report."""
    PLAIN = "plain"
    """A line an event."""
    JSONL = "jsonl"
    """The journal's own lines."""
    NONE = "none"


def _nothing() -> None:
    """End a printer that holds nothing."""


@dataclass(frozen=True)
class Printer:
    """A sink for records, to be closed; a context manager that closes itself."""

    show: Callable[[Record], None]
    end: Callable[[], None] = _nothing

    def __call__(self, record: Record) -> None:
        """Show a record."""
        self.show(record)

    def close(self) -> None:
        """Leave the terminal as it was found, with the last state on it."""
        self.end()

    def __enter__(self) -> Printer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def printer_for(
    display: Display | str, stream: TextIO | None = None, past: Iterable[Record] = ()
) -> Printer:
    """Return the printer of a display.

    Args:
        display: One of `Display`.
        stream: Where to print; standard error unless given, for standard output is for data.
        past: What a resumed run has journalled already: taken into account, not printed.

    Raises:
        ValueError: If there is no such display.
    """
    display, stream = Display(display), stream or sys.stderr
    state = RunState()
    for record in past:
        state.apply(record)
    if display is Display.AUTO:
        display = Display.RICH if stream.isatty() else Display.PLAIN
    match display:
        case Display.RICH:
            from kdsearch.report.live import LiveView  # rich is loaded only where it draws

            view = LiveView(stream, state)
            return Printer(view.show, view.end)
        case Display.PLAIN:
            return Printer(PlainLines(stream, state).show)
        case Display.JSONL:
            return Printer(lambda record: _line(stream, visible_json(json.dumps(record.to_json()))))
        case _:
            return Printer(lambda record: None)


class PlainLines:
    """Prints a line for each event worth one, with the time since the start."""

    def __init__(self, stream: TextIO, state: RunState) -> None:
        self.stream = stream
        self.state = state
        self.gate = ProgressGate()

    def show(self, record: Record) -> None:
        """Print the record's line, if it has one."""
        self.state.apply(record)
        text = message(record.event, self.state) if self.gate.opens(record) else None
        if text is not None:
            _line(self.stream, visible(f"{numbers.clock(self.state.elapsed(record.time))}  {text}"))


def _line(stream: TextIO, text: str) -> None:
    """Write a line and flush it: whoever follows a log sees it at once."""
    stream.write(text + "\n")
    stream.flush()
