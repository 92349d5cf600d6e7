"""The tables of `results --errors`: shortcuts, the four-way table, groups and telling items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from kdsearch.report import audits, numbers
from kdsearch.report.drawing import Column, Fitting, draw, labelled
from kdsearch.search.mistakes import SMALLEST_GROUP, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from kdsearch.report.audits import AuditRow, ErrorRow, GroupRow
    from kdsearch.report.rows import Summary

HEADINGS: Mapping[Mistake, str] = {
    Mistake.ONLY_TEACHER: "only\nteacher",
    Mistake.SAME_WRONG: "same\nwrong",
    Mistake.OTHER_WRONG: "other\nwrong",
    Mistake.ONLY_STUDENT: "only\nstudent",
    Mistake.BOTH_RIGHT: "both\nright",
}


def errors_table(
    summary: Summary,
    items: Mapping[str, Sequence[Mapping[str, Any]]],
    group: str | None = None,
) -> RenderableType:
    """Return shortcuts, errors and the most telling items of a run, all of them on dev.

    Args:
        summary: As in `summary.json`.
        items: By size, the items that either has wrong, as `audits.read_errors` reads them.
        group: The only group to show, or None for all.
    """
    parts: list[RenderableType] = [
        Text("on dev; confirm is never looked into", style="dim"),
        Text(),
    ]
    if group is None:
        parts += [_shortcuts(audits.audit_rows(summary)), Text()]
        parts += [_mistakes(audits.error_rows(summary))]
    groups = audits.group_rows(summary, group)
    parts += [Text(), *_groups(groups)] if groups else []
    for size, found in items.items():
        for item in audits.shown_items(found):
            (name, head), *lines = audits.item_lines(item)
            parts += [Text(), Text(f"{size}: {name}: {head}", style="bold"), labelled(lines)]
    return Group(*parts)


def _shortcuts(rows: Sequence[AuditRow]) -> RenderableType:
    every: list[Column[AuditRow]] = [
        Column("model", lambda row: row.name),
        Column("dev", lambda row: numbers.score(row.score), "right"),
        Column("options\npermuted", lambda row: numbers.score(row.permuted), "right"),
        Column("answered\nalike", lambda row: numbers.percent(row.agreement), "right"),
        Column("question\nblanked", lambda row: numbers.score(row.blanked), "right"),
        Column("most frequent answer", lambda row: row.most_frequent, flexible=True, least=16),
    ]
    if any(row.aggregates for row in rows):
        every.insert(2, Column("aggregates", lambda row: row.aggregates, flexible=True))
    if any(row.shortcuts for row in rows):
        told = Column[audits.AuditRow](
            "shortcut", lambda row: row.shortcuts, flexible=True, least=16
        )
        every.append(told)
    if any(row.note for row in rows):
        every.append(Column("note", lambda row: row.note, flexible=True, least=16))
    narrow = [column for column in every if column.heading not in ("aggregates", "note")]
    return Fitting([draw(columns, rows) for columns in (every, narrow)])


def _mistakes(rows: Sequence[ErrorRow]) -> RenderableType:
    def count(mistake: Mistake) -> Column[ErrorRow]:
        return Column(HEADINGS[mistake], lambda row: f"{row.counts[mistake]:,}", "right")

    columns: list[Column[ErrorRow]] = [
        Column("size", lambda row: row.name),
        count(Mistake.BOTH_RIGHT),
        *(count(mistake) for mistake in Mistake if mistake is not Mistake.BOTH_RIGHT),
        Column("agree", lambda row: numbers.percent(row.agreement), "right"),
        Column("errors\ninherited", lambda row: numbers.percent(row.inherited), "right"),
    ]
    return draw(columns, rows)


def _groups(rows: Sequence[GroupRow]) -> list[RenderableType]:
    def bounds(row: GroupRow) -> str:
        return numbers.NONE if row.bounds is None else " to ".join(map(numbers.points, row.bounds))

    columns: list[Column[GroupRow]] = [
        Column("size", lambda row: row.name),
        Column("group", lambda row: row.group, flexible=True, least=8),
        Column("items", lambda row: f"{row.items:,}", "right"),
        Column("teacher", lambda row: numbers.score(row.teacher), "right"),
        Column("student", lambda row: numbers.score(row.student), "right"),
        Column("difference", lambda row: numbers.points(row.difference), "right"),
        Column("bounds", bounds, "right"),
        Column("", lambda row: "worst" if row.worst else ""),
    ]
    note = (
        "bounds: one-sided, all groups of a size together; none for fewer than "
        f"{SMALLEST_GROUP} independent items"
    )
    return [draw(columns, rows), Text(note, style="dim")]
