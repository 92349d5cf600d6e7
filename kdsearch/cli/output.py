"""What commands print on stdout: JSON, or tables that suit a terminal and a pipe."""

from __future__ import annotations

import json
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from kdsearch.report.visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_WIDTH = 100
"""Columns where stdout is no terminal."""


def say(text: str, *, err: bool = False) -> None:
    """Print a line, with what a terminal would obey shown as escapes."""
    click.echo(visible(text), err=err)


def print_json(data: Any) -> None:
    """Print data as JSON, in ASCII."""
    click.echo(visible_json(json.dumps(data, indent=1)))


def print_json_line(data: Any) -> None:
    """Print data as a line of JSON that a person can read too."""
    click.echo(visible_json(json.dumps(data, ensure_ascii=False)))


def print_table(table: RenderableType) -> None:
    """Print a table in colour on a terminal, and plain elsewhere."""
    from kdsearch.report.drawing import VisibleConsole

    if sys.stdout.isatty():
        VisibleConsole(file=sys.stdout, highlight=False).print(table)
        return
    drawn = StringIO()
    VisibleConsole(file=drawn, width=PIPE_WIDTH, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.getvalue().splitlines()))
