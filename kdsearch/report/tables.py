"""The tables that commands print: a plan, a run's summary, its trials, several runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from kdsearch.report import numbers, rows
from kdsearch.report.drawing import Column, Fitting, draw, labelled
from kdsearch.report.plans import plan_table
from kdsearch.report.trials import trials_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from kdsearch.report.rows import RunRow, SizeRow, Summary

__all__ = ["plan_table", "results_table", "summary_table", "trials_table"]

STYLES: Mapping[str, str] = {
    "match": "green",
    "no_match": "red",
    "undecided": "yellow",
    "failed": "magenta",
    "not_visited": "dim",
    "uninformative_teacher": "yellow",
    "insensitive_margin": "yellow",
    "unreliable_data": "red",
    "withheld": "yellow",
}
"""By verdict or outcome; the words say the same without colour."""

SELECTED = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
"""Stands before the size that the run selected."""


def summary_table(summary: Summary, *, exact: bool = False) -> RenderableType:
    """Return a run's answer: a row a size, one sentence, costs, failures and warnings.

    Args:
        summary: As in `summary.json`.
        exact: Write parameter counts out, rather than as 147k.
    """
    layouts = [
        draw(
            columns,
            rows.size_rows(summary),
            style=lambda row: "bold" if row.selected else "",
            rule_after=1,
        )
        for columns in (_wide(exact), _stacked(exact), _least(exact))
    ]
    notes = [Text(note, style="dim") for note in rows.notes(summary)]
    return Group(
        Text(rows.title(summary["name"], summary["match"]), style="bold"),
        Text(),
        Fitting(layouts),
        Text(),
        Text(summary["sentence"], style="bold"),
        Text(),
        labelled(rows.closing(summary)),
        *([Text(), *notes] if notes else []),
    )


def _wide(exact: bool) -> list[Column[SizeRow]]:
    """Return a column for each figure; confirm stands with its interval."""
    return [
        _name(),
        Column("parameters", lambda row: _count(row, exact), "right"),
        Column("of\nteacher", lambda row: numbers.percent(row.share), "right"),
        *_dev_columns(),
        Column("confirm", lambda row: f"{numbers.score(row.confirm)} {_interval(row)}".rstrip()),
        Column("difference", lambda row: numbers.points(row.difference), "right"),
        Column("bound", lambda row: row.bound, "right"),
        _verdict(),
    ]


def _stacked(exact: bool) -> list[Column[SizeRow]]:
    """Return columns for 80 characters: intervals and bounds on a second line."""
    return [
        _name(),
        _count_and_share(exact),
        *_dev_columns(),
        Column("confirm", lambda row: _lines(numbers.score(row.confirm), _interval(row)), "right"),
        _difference_and_bound(),
        _verdict(),
    ]


def _least(exact: bool) -> list[Column[SizeRow]]:
    """Return the columns that a very narrow terminal still shows."""
    return [_name(), _count_and_share(exact), _difference_and_bound(), _verdict()]


def _name() -> Column[SizeRow]:
    return Column("  size", lambda row: f"{SELECTED if row.selected else ' '} {row.name}")


def _count(row: SizeRow, exact: bool) -> str:
    written_out = exact and row.parameters is not None
    return f"{row.parameters:,}" if written_out else numbers.parameters(row.parameters)


def _count_and_share(exact: bool) -> Column[SizeRow]:
    def text(row: SizeRow) -> str:
        share = numbers.percent(row.share) if row.share is not None else ""
        return f"{_count(row, exact)} {share:>4}"

    return Column("parameters\nof teacher", text, "right")


def _dev_columns() -> list[Column[SizeRow]]:
    return [
        Column("baseline", lambda row: numbers.score(row.baseline), "right"),
        Column("dev", lambda row: numbers.score(row.dev), "right"),
    ]


def _difference_and_bound() -> Column[SizeRow]:
    def text(row: SizeRow) -> str:
        return _lines(numbers.points(row.difference), row.bound)

    return Column("difference\nbound", text, "right")


def _verdict() -> Column[SizeRow]:
    def style(row: SizeRow) -> str:
        return STYLES["withheld"] if row.objection else STYLES.get(row.verdict, "")

    return Column("verdict", lambda row: row.verdict_text, style=style, flexible=True)


def _interval(row: SizeRow) -> str:
    return "" if row.interval is None else f"{row.interval[0]:.3f}-{row.interval[1]:.3f}"


def _lines(first: str, second: str) -> str:
    return first if second in ("", numbers.NONE) else f"{first}\n{second}"


def results_table(summaries: Sequence[Summary]) -> RenderableType:
    """Return several runs, a row a run."""
    listed = [rows.run_row(summary) for summary in summaries]
    every = _run_columns()
    lesser = {"teacher", "parameters", "difference"}
    narrow = [column for column in every if column.heading not in lesser]
    return Fitting([draw(every, listed), draw(narrow, listed)])


def _run_columns() -> list[Column[RunRow]]:
    def outcome(row: RunRow) -> str:
        return rows.OUTCOMES.get(row.outcome, row.outcome)

    def style(row: RunRow) -> str:
        return STYLES.get(row.outcome, "")

    return [
        Column("run", lambda row: row.name, flexible=True),
        Column("outcome", outcome, style=style, flexible=True),
        Column("teacher", lambda row: numbers.parameters(row.teacher_parameters), "right"),
        Column("selected", lambda row: row.size or numbers.NONE),
        Column("parameters", lambda row: numbers.parameters(row.parameters), "right"),
        Column("of\nteacher", lambda row: numbers.percent(row.share), "right"),
        Column("difference", lambda row: numbers.points(row.difference), "right"),
        Column("bound", lambda row: row.bound, "right"),
        Column("of\ngrid", lambda row: numbers.percent(row.share_of_grid), "right"),
        Column("time", lambda row: numbers.clock(row.seconds), "right"),
    ]
