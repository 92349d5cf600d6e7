from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from kdsearch.events import ConfirmChecked, Record, SizeDecided, TeacherReady, TrialProgress
from kdsearch.report.live import LiveView
from kdsearch.report.printer import printer_for
from kdsearch.report.state import RunState

if TYPE_CHECKING:
    from collections.abc import Sequence


def frame(records: Sequence[Record], width: int = 80, *, ended: bool = False) -> list[str]:
    """Return what the view shows after some records, a second later."""
    view = LiveView(StringIO(), RunState(), clock=lambda: records[-1].time + 1.0)
    for record in records:
        view.state.apply(record)
    if ended:
        view.end()
    stream = StringIO()
    Console(file=stream, width=width).print(view.frame())
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def until_progress(records: list[Record], trial: str, step: int) -> list[Record]:
    for place, record in enumerate(records):
        event = record.event
        if isinstance(event, TrialProgress) and (event.trial, event.step) == (trial, step):
            return records[: place + 1]
    raise AssertionError("no such progress")


def test_a_running_trial_shows_its_bar_and_its_score_against_the_bar(
    records: list[Record],
) -> None:
    lines = frame(until_progress(records, "28k-c0-s0", 800))
    assert "28k     28k  19%  0.879   0.917  baseline ━━━━━━━━────  67%  loss 0.269" in lines
    assert "                                 c0       ━━━━━━━━────  67%  loss 0.269" in lines
    assert "11k     11k   8%  0.517   0.937  no match on dev: best 0.517 against 0.937" in lines


def test_the_heading_tells_teacher_cost_and_time(records: list[Record]) -> None:
    lines = frame(until_progress(records, "28k-c0-s0", 800))
    assert lines[0] == "arithmetic: accuracy within 3.0 points of the teacher at 95% confidence"
    assert lines[1] == "teacher  147k parameters, dev 0.933"
    assert lines[2] == "so far   9% of the exhaustive grid, 01:23, about 4 min left"


def test_the_last_frame_says_where_running_trials_were_left(records: list[Record]) -> None:
    lines = frame(until_progress(records, "28k-c0-s0", 800), ended=True)
    assert any(line.endswith("c0       left at step 800/1200") for line in lines)
    assert not any("━" in line for line in lines)
    assert lines[2] == "so far   9% of the exhaustive grid, 01:23"


def test_a_declared_size_shows_its_share_of_the_error(records: list[Record]) -> None:
    opened = next(r.sequence for r in records if r.event.name == "confirm_opened")
    lines = frame(records[: opened + 1])
    assert any("declared for confirm, alpha 0.025" in line for line in lines)


def test_a_size_that_answers_confirm_says_how_far_it_is(records: list[Record]) -> None:
    opened = next(r.sequence for r in records if r.event.name == "confirm_opened")
    told = records[: opened + 1]
    trial = next(t for t in summary_trials(told) if t.startswith("28k-c"))
    phase = TrialProgress(
        size="28k", trial=trial, step=0, total_steps=0, phase="confirm", done=600, of=1600
    )
    lines = frame([*told, Record(999, told[-1].time, phase)], 100)
    assert any(line.endswith("answering confirm 600/1,600") for line in lines)
    tested = next(r for r in records if r.event.name == "confirm_tested" and r.event.size == "28k")
    told = [*told, Record(999, told[-1].time, phase), tested]
    assert not any("answering" in line for line in frame(told, 100))


def summary_trials(records: Sequence[Record]) -> list[str]:
    return [record.event.trial for record in records if record.event.trial]


@pytest.mark.parametrize("width", [30, 44, 60, 80, 100, 140])
def test_no_width_breaks_a_frame(records: list[Record], width: int) -> None:
    for count in range(1, len(records), 7):
        assert all(len(line) <= width for line in frame(records[:count], width))


def test_before_the_teacher_is_ready_its_training_is_shown(records: list[Record]) -> None:
    training = TrialProgress(step=300, total_steps=1200, losses={"loss": 0.5})
    record = Record(1, records[0].time + 9.0, training)
    assert frame(records[:1])[1] == "teacher  being prepared"
    assert frame([records[0], record])[1] == "teacher  training ━━━─────────  25%  loss 0.5"
    assert frame([records[0], record], ended=True)[1] == "teacher  left at step 300/1200"


def test_a_phase_of_the_teacher_has_its_count_and_the_time_left(records: list[Record]) -> None:
    training = TrialProgress(step=1200, total_steps=1200, losses={"loss": 0.5})
    told = [records[0], Record(1, records[0].time + 9.0, training)]
    for place, done in enumerate((1200, 1600)):
        phase = TrialProgress(step=1200, total_steps=1200, phase="signals", done=done, of=4000)
        told.append(Record(2 + place, records[0].time + 20.0 + 40 * place, phase))
    assert frame(told[:2])[1].startswith("teacher  training")
    assert frame(told[:3])[1] == "teacher  signals 1,200/4,000"
    assert frame(told)[1] == "teacher  signals 1,600/4,000 \N{MIDDLE DOT} 04:00 left"
    dev = TrialProgress(step=1200, total_steps=1200, phase="dev", done=300, of=800)
    assert frame([*told, Record(9, told[-1].time + 9, dev)])[1] == "teacher  answering dev 300/800"
    assert frame(told, ended=True)[1] == "teacher  left at step 1200/1200"


def test_a_trial_that_answers_dev_says_so_until_it_trains_on(records: list[Record]) -> None:
    told = until_progress(records, "28k-c0-s0", 800)
    place: dict[str, Any] = {"size": "28k", "trial": "28k-c0-s0", "step": 800, "total_steps": 1200}
    phase = TrialProgress(**place, phase="dev", done=300, of=800)
    told = [*told, Record(9, told[-1].time, phase)]
    assert any(line.endswith("c0       dev 300/800") for line in frame(told))
    trained = TrialProgress(**place, losses={"loss": 0.269})
    assert not any("300/800" in line for line in frame([*told, Record(9, told[-1].time, trained)]))


def test_a_size_whose_trials_all_failed_reads_failed(records: list[Record]) -> None:
    decided = SizeDecided(
        size="11k", verdict="failed", decided_on="dev", reason="11k failed: no trial finished; next"
    )
    lines = frame([records[0], Record(1, records[0].time, decided)])
    assert any(line.endswith("failed: no trial finished") for line in lines)


def test_failures_scroll_by_above_the_table(records: list[Record]) -> None:
    stream = StringIO()
    with printer_for("rich", stream) as printer:
        for record in records:
            printer(record)
    assert "19k-c0-s0  failed: ValueError: loss is not finite" in stream.getvalue().splitlines()


def test_a_teacher_that_only_guesses_is_said_at_once(records: list[Record]) -> None:
    ready = records[1].event
    assert isinstance(ready, TeacherReady)
    guessing = TeacherReady(**{**vars(ready), "informative": False})
    assert frame([records[0], Record(1, records[1].time, guessing)])[1].endswith(
        "dev 0.933, not above guessing"
    )


def test_an_exception_ends_the_view_and_passes_on(records: list[Record]) -> None:
    stream = StringIO()

    def lose_the_cluster() -> None:
        with printer_for("rich", stream) as printer:
            printer(records[0])
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        lose_the_cluster()
    assert "arithmetic: accuracy within" in stream.getvalue()


def test_a_decision_is_told_without_what_comes_next(records: list[Record]) -> None:
    decided = next(r.sequence for r in records if isinstance(r.event, SizeDecided))
    text = "\n".join(frame(records[: decided + 1], 140))
    assert "no match on dev: best 0.517 against 0.937 needed" in text
    assert "next 28k" not in text


def test_a_baselines_score_is_not_the_sizes(records: list[Record]) -> None:
    lines = frame(until_progress(records, "28k-baseline-s0", 600))
    row = next(line for line in lines if line.startswith("28k"))
    assert row.split()[3:6] == ["-", "-", "baseline"]


def test_a_margin_and_data_that_forbid_a_match_are_said_at_once(records: list[Record]) -> None:
    ready, time = records[1].event, records[1].time
    found = {"allowed": 0.95, "score": 0.933, "chance": 0.0, "domain": None}
    wide = TeacherReady(**{**vars(ready), "sensitive": False, "sensitivity": found})
    assert frame([records[0], Record(1, time, wide)])[1].endswith("within the margin of guessing")
    check = ConfirmChecked(
        score=0.25,
        items=800,
        dev_score=0.933,
        chance={"uniform_score": 0.25, "p_value": 0.4},
        p_value=0.0,
        reliable=False,
        reason="the teacher scores 0.933 on dev and 0.250 on confirm",
    )
    stream = StringIO()
    with printer_for("rich", stream) as printer:
        for place, event in enumerate((records[0].event, wide, check)):
            printer(Record(place, time, event))
    told = " ".join(stream.getvalue().split())
    assert "a student may lose 95.0 points and match, and the teacher is only 93.3 points" in told
    assert (
        "teacher on confirm: 0.250 on 800 items (uniform 0.250, p = 0.400), dev 0.933; unreliable: "
        "the teacher scores 0.933 on dev" in told
    )
