from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from kdsearch.events import TrialFinished
from kdsearch.report.messages import message
from kdsearch.report.state import RunState
from kdsearch.report.trials import settings_text, trial_rows, trials_table

if TYPE_CHECKING:
    from kdsearch.events import Record


def drawn(records: list[Record], width: int) -> list[str]:
    stream = StringIO()
    Console(file=stream, width=width).print(trials_table(records))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_every_trial_has_one_row_in_the_order_of_starting(records: list[Record]) -> None:
    started = [r.event.trial for r in records if r.event.name == "trial_started"]
    assert [row.trial for row in trial_rows(records)] == started


def test_a_finished_trial_is_compared_with_the_teacher(records: list[Record]) -> None:
    row = next(row for row in trial_rows(records) if row.trial == "28k-c0-s0")
    assert (row.status, row.untrained, row.dev, row.seconds) == ("finished", 0.02, 0.929, 16.2)
    assert row.difference == pytest.approx(-3 / 800)


def test_the_habit_before_training_is_told(records: list[Record]) -> None:
    finished = next(record for record in records if isinstance(record.event, TrialFinished))
    assert isinstance(finished.event, TrialFinished)
    told = replace(finished.event, untrained_answers=[["option 1", 600, 200], ["option 2", 200, 9]])
    (row,) = trial_rows([replace(finished, event=told)])
    assert row.habit == "75% option 1"
    assert "75% option 1" in "\n".join(drawn([replace(finished, event=told)], 160))


@pytest.mark.parametrize(
    ("trial", "status", "note"),
    [
        ("28k-c1-s0", "stopped", "at step 1000: its size is decided"),
        ("19k-c0-s0", "failed", "ValueError: loss is not finite"),
    ],
)
def test_other_endings_say_why(records: list[Record], trial: str, status: str, note: str) -> None:
    row = next(row for row in trial_rows(records) if row.trial == trial)
    assert (row.status, row.note) == (status, note)


@pytest.mark.parametrize(
    ("ended", "kept", "told"),
    [
        ("", 90, ""),
        ("", 60, "kept the weights of step 60"),
        ("dev is flat", 60, "ended at step 90 of 100: dev is flat; kept the weights of step 60"),
    ],
)
def test_a_trial_that_stopped_early_says_so(
    records: list[Record], ended: str, kept: int, told: str
) -> None:
    last = next(r for r in records if isinstance(r.event, TrialFinished))
    steps: dict[str, Any] = {"step": 90, "total_steps": 100, "kept_step": kept, "ended": ended}
    event = replace(cast("TrialFinished", last.event), **steps)
    assert trial_rows([replace(last, event=event)])[0].note == told
    assert (message(event, RunState()) or "").partition("\n       ")[2] == told


def test_a_trial_at_work_is_running(records: list[Record]) -> None:
    assert [row.status for row in trial_rows(records[:6])] == ["running", "running"]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_width_cuts_a_status_or_a_setting(records: list[Record], width: int) -> None:
    lines = drawn(records, width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "soft_labels.weight 1.23" in text
    assert text.count("finished") == 7


def test_settings_keep_other_values_than_numbers() -> None:
    config = {"train.batch_size": 64, "losses.hidden_mse.layers": "last", "x": 0.00012345}
    assert settings_text(config) == "batch_size 64, hidden_mse.layers last, x 0.000123"
