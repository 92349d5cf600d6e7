"""The live view: a table of sizes, drawn anew while trials report."""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from kdsearch.events import ConfirmChecked, RunStarted, TeacherReady, TrialFailed
from kdsearch.report import numbers, rows
from kdsearch.report.board import TRIAL_LINE, BoardRow, board_rows, heading
from kdsearch.report.drawing import Column, Fitting, VisibleConsole, draw, labelled
from kdsearch.report.messages import message
from kdsearch.report.tables import STYLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from kdsearch.events import Record
    from kdsearch.report.state import RunState

FRAMES_PER_SECOND = 2
"""Enough for a clock; a report is seen within half a second."""


class LiveView:
    """Shows a run in place, and leaves its last state on the terminal.

    Failed trials, a teacher or data that forbid a match, and what the plan warns of scroll by above
    the table, so that they are not lost when the table changes.

    Args:
        stream: A terminal.
        state: The run so far.
        clock: The journal's clock, in seconds.
    """

    def __init__(
        self, stream: TextIO, state: RunState, clock: Callable[[], float] = time.time
    ) -> None:
        self.state = state
        self.clock = clock
        self._ended = False
        self._lock = RLock()
        """The refreshing thread draws while the run's own thread takes in records."""
        self._live = Live(
            console=VisibleConsole(file=stream),
            get_renderable=self.frame,
            refresh_per_second=FRAMES_PER_SECOND,
            redirect_stdout=False,  # data, and not ours
            redirect_stderr=stream.isatty(),
        )

    def show(self, record: Record) -> None:
        """Take in a record; the next frame shows it."""
        with self._lock:
            self.state.apply(record)
            text = message(record.event, self.state) if _scrolls(record) else None
        if not self._live.is_started:
            self._live.start()
        if text is not None:
            self._live.console.print(Text(text))

    def end(self) -> None:
        """Draw the last frame, and give the terminal back."""
        self._ended = True
        if self._live.is_started:
            self._live.stop()

    def frame(self) -> RenderableType:
        """Draw the run as it stands."""
        with self._lock:
            if not self.state.plan.name:
                return Text()
            over = self.state.finished is not None
            elapsed = self.state.elapsed(self.state.latest if over else self.clock())
            listed = board_rows(self.state, live=not self._ended)
            lines = heading(self.state, elapsed, live=not self._ended)
            title = rows.title(self.state.plan.name, self.state.plan.match)
        layouts = [draw(columns, listed, style=_row_style, expand=True) for columns in _layouts()]
        return Group(Text(title, style="bold"), labelled(lines), Text(), Fitting(layouts))


def _scrolls(record: Record) -> bool:
    event = record.event
    match event:
        case RunStarted():
            return bool(event.plan.get("warnings"))
        case TeacherReady():
            return not (event.informative and event.sensitive)
        case ConfirmChecked():
            return not event.reliable
    return isinstance(event, TrialFailed)


def _row_style(row: BoardRow) -> str:
    """Let sizes that nobody has visited stand back."""
    return "" if row.state else "dim"


def _state_style(row: BoardRow) -> str:
    """Colour what is settled for good: a pass on dev is not."""
    passed = row.verdict == "undecided" and not row.confirmed
    return "" if row.verdict is None or passed else STYLES.get(row.verdict, "")


def _layouts() -> list[list[Column[BoardRow]]]:
    def measures(row: BoardRow) -> str:
        return f"{numbers.parameters(row.parameters)} {numbers.percent(row.share):>4}"

    size = Column[BoardRow]("size", lambda row: row.name)
    count = Column[BoardRow]("parameters\nof teacher", measures, "right")
    scores = [
        Column[BoardRow]("dev", lambda row: numbers.score(row.dev), "right"),
        Column[BoardRow]("needed", lambda row: numbers.score(row.needed), "right"),
    ]
    told = Column[BoardRow](
        "state", lambda row: row.state, style=_state_style, flexible=True, least=TRIAL_LINE
    )
    return [[size, count, *scores, told], [size, *scores, told], [size, told]]
