"""Draws rows as calm rich tables: no box, a rule under the heading, two spaces between columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdsearch.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

Row = TypeVar("Row")


class VisibleConsole(Console):
    """A console on which no text is obeyed: what is drawn comes from data, plugins and models."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render to segments, of which only rich's own hold control codes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def _plain(row: object) -> str:
    return ""


class Column(NamedTuple, Generic[Row]):
    """What a table shows of each row."""

    heading: str
    text: Callable[[Row], str]
    justify: Literal["left", "right"] = "left"
    style: Callable[[Row], str] = _plain
    flexible: bool = False
    """Whether the cells may be folded when the terminal is narrow."""
    least: int | None = None
    """Characters that a flexible column is not folded below."""


def draw(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    *,
    style: Callable[[Row], str] = _plain,
    rule_after: int | None = None,
    expand: bool = False,
) -> Table:
    """Draw rows as a table.

    Args:
        columns: From left to right.
        rows: From top to bottom.
        style: The style of a whole row.
        rule_after: The number of rows above a horizontal rule.
        expand: Take the whole width, given to flexible columns, so that frames do not jump.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),  # and one of the box: two spaces between columns
        pad_edge=False,
        header_style="dim",
        border_style="dim",
        expand=expand,
    )
    for column in columns:
        table.add_column(
            column.heading,
            justify=column.justify,
            no_wrap=not column.flexible,
            overflow="fold",
            min_width=column.least,
            ratio=1 if expand and column.flexible else None,
        )
    for position, row in enumerate(rows, start=1):
        cells = [Text(visible(column.text(row)), style=column.style(row)) for column in columns]
        table.add_row(*cells, style=style(row), end_section=position == rule_after)
    return table


def labelled(lines: Iterable[tuple[str, str]]) -> Table:
    """Draw lines with their labels at the left."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, line in lines:
        grid.add_row(visible(label), Text(visible(line)))
    return grid


@dataclass(frozen=True)
class Fitting:
    """Draws the first of several layouts that needs no more width than there is."""

    layouts: Sequence[RenderableType]
    """From the widest to the narrowest; the last is drawn in any case."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(max_width=10_000)
        yield next(
            (
                layout
                for layout in self.layouts
                if console.measure(layout, options=unbounded).minimum <= options.max_width
            ),
            self.layouts[-1],
        )
