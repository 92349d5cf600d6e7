"""What audits and errors look like: a line an event, and the lines of `results --errors`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import DataError
from kdsearch.report import numbers
from kdsearch.search.audits import shortcuts_of
from kdsearch.search.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.events import ModelAudited

SHOWN_ITEMS = 3
"""Of each kind of mistake; the file has them all."""

NOTHING = "(nothing)"
"""Stands for an empty answer."""

MISTAKES: Mapping[Mistake, str] = {
    Mistake.ONLY_TEACHER: "only the teacher is right",
    Mistake.SAME_WRONG: "the same wrong answer",
    Mistake.OTHER_WRONG: "two wrong answers",
    Mistake.ONLY_STUDENT: "only the student is right",
    Mistake.BOTH_RIGHT: "both are right",
}


class AuditRow(NamedTuple):
    """The teacher, or a size."""

    name: str
    score: float | None
    most_frequent: str
    permuted: float | None
    agreement: float | None
    """With itself, once the options are permuted."""
    blanked: float | None
    aggregates: str
    shortcuts: str
    """The shortcuts that it takes."""
    note: str


class AnswerRow(NamedTuple):
    """One answer: how often it is right, and how often each model gives it."""

    answer: str
    gold: float
    given: Mapping[str, float]
    """Shares by model: the teacher, then the audited sizes."""


class ErrorRow(NamedTuple):
    """A size's errors beside the teacher's."""

    name: str
    counts: Mapping[Mistake, int]
    agreement: float
    inherited: float | None


class GroupRow(NamedTuple):
    """A size on one slice of the domain."""

    name: str
    group: str
    items: int
    teacher: float
    student: float
    difference: float
    bounds: tuple[float, float] | None
    worst: bool


def audit_text(event: ModelAudited) -> str:
    """Return what an audit found, in one line."""
    if event.error:
        return f"failed: {numbers.last_line(event.error)}"
    row = _audit_row(event.size or "teacher", event.__dict__)
    told = [f"most often {row.most_frequent}"]
    if row.permuted is not None and row.agreement is not None:
        agreed = numbers.percent(row.agreement)
        told.append(f"options permuted {numbers.score(row.permuted)} ({agreed} answered alike)")
    if row.blanked is not None:
        told.append(f"question blanked {numbers.score(row.blanked)}")
    return ", ".join(told + ([f"shortcut: {row.shortcuts}"] if row.shortcuts else []))


def audit_rows(summary: Mapping[str, Any]) -> list[AuditRow]:
    """Return the teacher's row and one of each audited size, the largest first."""
    return [_audit_row(name, figures) for name, figures in _audited(summary)]


def answer_rows(summary: Mapping[str, Any]) -> list[AnswerRow]:
    """Return the answers of the histograms, the most frequently right first.

    Histograms keep the answers that their model gives most often, so that of free answers those
    that any model repeats are shown.
    """
    gold: dict[str, float] = {}
    given: dict[str, dict[str, float]] = {}
    for name, figures in _audited(summary):
        for answer, count, right in figures["histogram"]:
            gold[answer] = right / figures["items"]
            given.setdefault(answer, {})[name] = count / figures["items"]
    order = sorted(gold, key=lambda answer: (-gold[answer], answer))
    return [AnswerRow(answer or NOTHING, gold[answer], given[answer]) for answer in order]


def error_rows(summary: Mapping[str, Any]) -> list[ErrorRow]:
    """Return a row of each audited size, the largest first."""
    return [
        ErrorRow(
            name,
            {mistake: errors[mistake.value] for mistake in Mistake},
            errors["agreement"],
            errors["inherited"],
        )
        for name, errors in _by_size(summary)
    ]


def group_rows(summary: Mapping[str, Any], group: str | None = None) -> list[GroupRow]:
    """Return a row of each group of each audited size, or of one group alone."""
    return [
        GroupRow(
            name,
            found["group"],
            found["items"],
            found["teacher_score"],
            found["student_score"],
            found["difference"],
            None if found["lower_bound"] is None else (found["lower_bound"], found["upper_bound"]),
            found["group"] == errors["worst_group"],
        )
        for name, errors in _by_size(summary)
        for found in errors["groups"]
        if group in (None, found["group"])
    ]


def read_errors(run: Path, path: str, group: str | None = None) -> list[dict[str, Any]]:
    """Read the items of a size that either has wrong, the most telling first.

    Raises:
        DataError: If the file is missing or malformed.
    """
    file = run / path
    try:
        lines = file.read_text(encoding="utf8").splitlines()
        items: list[dict[str, Any]] = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=str(file)) from error
    return [item for item in items if group in (None, item.get("group"))]


def shown_items(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first few items of each kind of mistake."""
    return [
        item
        for mistake in Mistake
        for item in [item for item in items if item["mistake"] == mistake][:SHOWN_ITEMS]
    ]


def item_lines(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return an item as labelled lines."""
    sure = item.get("confidence")
    given = item["student"] or NOTHING
    told = given if sure is None else f"{given} ({numbers.percent(sure)} sure)"
    said = [("question", item["question"])]
    said += [("options", " | ".join(item["choices"]))] if item.get("choices") else []
    said += [
        ("correct", item["correct"]),
        ("teacher", item["teacher"] or NOTHING),
        ("student", told),
    ]
    head = MISTAKES[Mistake(item["mistake"])]
    group = f", {item['group']}" if item.get("group") else ""
    return [(item["id"], f"{head}{group}"), *said]


def _audited(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    audit = summary.get("shortcut_audit") or {}
    sizes = {size["size"]: size["parameters"] for size in summary["sizes"]}
    listed = [("teacher", audit["teacher"])] if audit.get("teacher") else []
    return listed + sorted(audit.get("sizes", {}).items(), key=lambda pair: -sizes.get(pair[0], 0))


def _by_size(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    sizes = {size["size"]: size["parameters"] for size in summary["sizes"]}
    return sorted((summary.get("errors") or {}).items(), key=lambda pair: -sizes.get(pair[0], 0))


def _not_done(figures: Mapping[str, Any]) -> str:
    """Say which changed prompts were not asked, and why."""
    blanked = figures.get("not_blanked")
    told = [figures["not_permuted"], blanked and f"question not blanked: {blanked}"]
    return "; ".join(each for each in dict.fromkeys(told) if each)


def _audit_row(name: str, figures: Mapping[str, Any]) -> AuditRow:
    top, permuted = figures["most_frequent"], figures["permuted"] or {}
    often = ""
    if top:
        given, gold = (numbers.percent(top[key]) for key in ("share", "gold_share"))
        often = f"{top['answer'] or NOTHING} {given}, gold {gold}"
    bounds = figures.get("aggregate_intervals") or {}
    aggregates = [
        numbers.figure(name, value, bounds.get(name))
        for name, value in figures["aggregates"].items()
    ]
    return AuditRow(
        name=name,
        score=figures["score"],
        most_frequent=often,
        permuted=permuted.get("score"),
        agreement=permuted.get("agreement"),
        blanked=(figures["blanked"] or {}).get("score"),
        aggregates=", ".join(aggregates),
        shortcuts="; ".join(shortcuts_of(figures)),
        note=numbers.last_line(figures["error"]) if figures["error"] else _not_done(figures),
    )
