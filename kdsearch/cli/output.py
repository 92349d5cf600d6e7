"""What commands print on stdout: JSON, or tables that suit a terminal and a pipe."""

from __future__ import annotations

import json
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_WIDTH = 100
"""Columns where stdout is no terminal."""


def print_json(data: Any) -> None:
    """Print data as JSON."""
    click.echo(json.dumps(data, indent=1))


def print_table(table: RenderableType) -> None:
    """Print a table in colour on a terminal, and plain elsewhere."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(table)
        return
    drawn = StringIO()
    Console(file=drawn, width=PIPE_WIDTH, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.getvalue().splitlines()))
