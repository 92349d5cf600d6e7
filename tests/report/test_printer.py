from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from kdsearch.events import Record, RunFinished, RunStarted, TrialFinished, TrialProgress
from kdsearch.report.messages import ProgressGate
from kdsearch.report.printer import printer_for

if TYPE_CHECKING:
    from kdsearch.report.printer import Display


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(display: Display | str, records: list[Record], stream: StringIO | None = None) -> str:
    stream = stream or StringIO()
    with printer_for(display, stream) as printer:
        for record in records:
            printer(record)
    return stream.getvalue()


def until(records: list[Record], kind: type, occurrence: int) -> list[Record]:
    """Return the records up to an occurrence of an event."""
    places = [place for place, record in enumerate(records) if isinstance(record.event, kind)]
    return records[: places[occurrence - 1] + 1]


@pytest.mark.parametrize(
    ("outcome", "sentence", "line"),
    [
        ("match", "It does.", "match: It does."),
        ("undecided", "Undecided: why.", "Undecided: why."),
        ("no_match", "None does.", "no match: None does."),
    ],
)
def test_the_outcome_is_said_once(outcome: str, sentence: str, line: str) -> None:
    record = Record(0, 0.0, RunFinished(outcome=outcome, sentence=sentence))
    assert printed("plain", [record]) == f"00:00  {line}\n"


@pytest.mark.parametrize(
    "line",
    [
        "00:00  run runs/arithmetic started: 6 sizes from 4.1k to 147k, "
        "baseline and 2 configurations each",
        "00:41  teacher ready: 147k parameters, dev 0.933 on 800 items (majority 0.081, p < 0.001)",
        "00:41  11k-baseline-s0  started",
        "00:42  11k-c0-s0  started: soft_labels.weight 1.23, learning_rate 0.005",
        "00:47  11k-baseline-s0  step 600/1200  loss 0.293  dev 0.447",
        "01:38  28k-c0-s0  finished in 16 s: dev 0.929, 0.4 points below the teacher  "
        "[14% of the grid so far]",
        "01:38  size 28k passed: dev 0.929 with c0, 0.914 needed; next 19k",
        "01:49  28k-c1-s0  stopped at step 1000: its size is decided",
        "02:13  19k-c0-s0  failed: ValueError: loss is not finite",
        "02:20  confirm opened for 28k (alpha 0.025), 64k (alpha 0.0125), 147k (alpha 0.0125)",
        "02:22  28k on confirm: 0.921, teacher 0.925 on 1,600 items, p < 0.001",
    ],
)
def test_plain_lines_read_like_sentences(records: list[Record], line: str) -> None:
    assert line in printed("plain", records).splitlines()


def test_the_last_plain_line_answers(records: list[Record]) -> None:
    last = printed("plain", records).splitlines()[-1]
    assert last.startswith("02:23  match: 28k is the smallest student found to match")


def test_no_line_holds_escapes_or_two_lines(records: list[Record]) -> None:
    text = printed("plain", records)
    assert "\x1b" not in text
    assert len(text.splitlines()) <= len(records)


def test_jsonl_is_the_journal(records: list[Record]) -> None:
    lines = [json.loads(line) for line in printed("jsonl", records).splitlines()]
    assert [Record.from_json(line) for line in lines] == records


def test_none_prints_nothing(records: list[Record]) -> None:
    assert printed("none", records) == ""


def test_auto_is_plain_off_a_terminal(records: list[Record]) -> None:
    assert printed("auto", records) == printed("plain", records)


def test_auto_draws_on_a_terminal(records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in printed("auto", records, Terminal())


def test_an_unknown_display_is_refused() -> None:
    with pytest.raises(ValueError, match="colourful"):
        printer_for("colourful")


def progress(step: int, seconds: float) -> Record:
    event = TrialProgress(size="s", trial="s-c0-s0", step=step, total_steps=100)
    return Record(0, seconds, event)


def test_progress_is_told_every_ten_seconds_and_at_quarters() -> None:
    gate = ProgressGate()
    steps = [(1, 0.0), (2, 5.0), (3, 10.0), (25, 11.0), (30, 12.0), (51, 13.0), (60, 23.0)]
    told = [step for step, seconds in steps if gate.opens(progress(step, seconds))]
    assert told == [3, 25, 51, 60]


def test_the_teachers_training_is_told(records: list[Record]) -> None:
    training = TrialProgress(step=300, total_steps=1200, losses={"loss": 0.5})
    later = Record(1, records[0].time + 42.0, training)
    line = printed("plain", [records[0], later]).splitlines()[-1]
    assert line == "00:42  teacher  step 300/1200  loss 0.5"


def test_phases_are_told_with_their_time_left(records: list[Record]) -> None:
    told = [records[0]]
    for place, done in enumerate((100, 200, 300, 600)):
        phase = TrialProgress(step=9, total_steps=9, phase="signals", done=done, of=1000)
        told.append(Record(1 + place, records[0].time + 3.0 + 5 * place, phase))
    assert printed("plain", told).splitlines()[2:] == [
        "00:03  teacher  signals 100/1,000",
        "00:13  teacher  signals 300/1,000, 00:35 left",
    ]


def test_a_resumed_run_goes_on_from_its_past(records: list[Record]) -> None:
    past, stream = until(records, TrialFinished, 3), StringIO()
    begun = records[0].event
    assert isinstance(begun, RunStarted)
    again = RunStarted(run=begun.run, plan=begun.plan, resumed=True)
    with printer_for("plain", stream, past=past) as printer:
        printer(Record(len(past), past[-1].time + 900.0, again))
    assert stream.getvalue() == (
        "01:12  run runs/arithmetic resumed: 6 sizes from 4.1k to 147k, baseline and "
        "2 configurations each; 3 trials need no repeating\n"
        "       warning: not smaller than the teacher: 147k\n"
    )
