"""The table of a run's trials: what each trained with, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import TrialFailed, TrialFinished, TrialProgress, TrialStarted, TrialStopped
from kdsearch.report import numbers
from kdsearch.report.drawing import Column, Fitting, draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from kdsearch.events import Record


LONGEST_HABIT = 16
"""Characters of an answer in the table."""


class TrialRow(NamedTuple):
    """One trial as its last event left it."""

    trial: str
    settings: Mapping[str, Any]
    """The searched values by path."""
    status: str = "running"
    untrained: float | None = None
    """Its score on dev before training."""
    habit: str = ""
    """Its most frequent answer before training, with its share of all."""
    dev: float | None = None
    difference: float | None = None
    """Student minus teacher on dev."""
    seconds: float | None = None
    note: str = ""
    """Why it stopped or failed."""


def trial_rows(records: Iterable[Record]) -> list[TrialRow]:
    """Return a row for each trial of a journal, in the order of their start."""
    rows: dict[str, TrialRow] = {}
    for record in records:
        event = record.event
        trial = event.trial or ""
        row = rows.get(trial, TrialRow(trial, {}))
        match event:
            case TrialStarted():
                rows[trial] = TrialRow(trial, event.config)
            case TrialProgress() if event.trial and event.score is not None:
                rows[trial] = row._replace(dev=event.score)
            case TrialFinished():
                rows[trial] = row._replace(
                    settings=event.config,
                    status="finished",
                    untrained=event.untrained_score,
                    habit=_habit(event),
                    dev=event.score,
                    difference=(event.student_only - event.teacher_only) / event.items,
                    seconds=event.seconds,
                    note=end_text(event),
                )
            case TrialStopped():
                note = f"at step {event.step}: {stop_text(event.reason)}"
                rows[trial] = row._replace(status="stopped", note=note)
            case TrialFailed():
                rows[trial] = row._replace(status="failed", note=numbers.last_line(event.error))
    return list(rows.values())


def trials_table(records: Iterable[Record]) -> RenderableType:
    """Return a run's trials, a row a trial.

    Args:
        records: The run's journal.
    """
    rows = trial_rows(records)
    every: list[Column[TrialRow]] = [
        Column("trial", lambda row: row.trial),
        Column("untrained", lambda row: numbers.score(row.untrained), "right"),
        Column("mostly", lambda row: row.habit),
        Column("dev", lambda row: numbers.score(row.dev), "right"),
        Column("to\nteacher", lambda row: numbers.points(row.difference), "right"),
        Column("time", _time, "right"),
        Column("status", lambda row: row.status, style=_style),
        Column("settings, notes", _told, flexible=True, least=24),
    ]
    short = [column for column in every if column.heading != "mostly"]
    narrow = [column for column in short if column.heading not in ("untrained", "time")]
    least = [column for column in narrow if column.heading != "to\nteacher"]
    return Fitting([draw(columns, rows) for columns in (every, short, narrow, least)])


def _habit(event: TrialFinished) -> str:
    """Say what a student answered most before training, such as `93% option 1`."""
    if not event.untrained_answers:
        return ""
    answer, given, _ = event.untrained_answers[0]
    shown = answer if len(answer) <= LONGEST_HABIT else answer[:LONGEST_HABIT] + "..."
    return f"{numbers.percent(given / event.items)} {shown or 'nothing'}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write searched values, such as `soft_labels.weight 1.2, learning_rate 0.005`."""
    return ", ".join(
        f"{path.removeprefix('train.').removeprefix('losses.')} {_value(value)}"
        for path, value in settings.items()
    )


def end_text(event: TrialFinished) -> str:
    """Say where and why a trial ended before its budget, and which weights it kept."""
    told = []
    if event.ended:
        told.append(f"ended at step {event.step} of {event.total_steps}: {event.ended}")
    if event.kept_step < event.step:
        told.append(f"kept the weights of step {event.kept_step}")
    return "; ".join(told)


def stop_text(reason: str) -> str:
    """Return why a trial was stopped, without the decision that is told elsewhere."""
    return "its size is decided" if reason.startswith("decided:") else reason


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _time(row: TrialRow) -> str:
    return numbers.NONE if row.seconds is None else numbers.clock(row.seconds)


def _told(row: TrialRow) -> str:
    return "\n".join(line for line in (settings_text(row.settings), row.note) if line)


def _style(row: TrialRow) -> str:
    return "magenta" if row.status == "failed" else ""
