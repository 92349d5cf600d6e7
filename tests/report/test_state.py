from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.events import Record, RunStarted, TrialFailed, TrialFinished, TrialStarted
from kdsearch.report.estimate import expected_cost, passes, seconds_left
from kdsearch.report.state import RunState, TrialStatus
from kdsearch.search.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence


def after(records: Sequence[Record]) -> RunState:
    state = RunState()
    for record in records:
        state.apply(record)
    return state


def until(records: list[Record], kind: type, occurrence: int = 1) -> list[Record]:
    """Return the records up to an occurrence of an event."""
    places = [place for place, record in enumerate(records) if isinstance(record.event, kind)]
    return records[: places[occurrence - 1] + 1]


def test_the_share_of_the_grid_is_the_summarys(records: list[Record]) -> None:
    share = summarise(records)["cost"]["share_of_grid"]
    assert after(records).share_of_grid == pytest.approx(share)


def test_trials_end_as_their_events_say(records: list[Record]) -> None:
    trials = after(records).trials
    assert trials["28k-c0-s0"].status is TrialStatus.FINISHED
    assert trials["28k-c1-s0"].status is TrialStatus.STOPPED
    assert trials["19k-c0-s0"].note == "ValueError: loss is not finite"


def test_which_sizes_passed(records: list[Record]) -> None:
    state = after(records)
    assert [name for name in state.sizes if passes(state, name)] == ["28k"]


def test_a_resumed_run_counts_neither_the_pause_nor_the_killed_trials(
    records: list[Record],
) -> None:
    begun = until(records, TrialStarted, 3)
    last = begun[-1].time
    again = RunStarted(run="r", plan=begun[0].event.plan, resumed=True)  # type: ignore[attr-defined]  # a RunStarted
    state = after([*begun, Record(len(begun), last + 3600.0, again)])
    assert state.elapsed(last + 3601.0) == pytest.approx(last - begun[0].time + 1.0)
    assert [trial.status for trial in state.trials.values()] == [TrialStatus.FINISHED]


def test_no_time_is_told_before_there_is_a_pace(records: list[Record]) -> None:
    state = after(until(records, TrialStarted, 2))
    assert seconds_left(state, state.elapsed(state.latest)) is None


def test_the_time_left_falls_to_nothing(records: list[Record]) -> None:
    endings = [until(records, TrialFinished, 2), until(records, TrialFailed)]
    states = [after(part) for part in endings]
    left = [seconds_left(state, state.elapsed(state.latest)) or 0.0 for state in states]
    assert left[0] > left[1] > 0.0
    done = after(records)
    assert seconds_left(done, done.elapsed(done.latest)) is None


@pytest.mark.parametrize(
    ("costs", "expected"), [([], 0.0), ([5.0], 5.0), ([1.0, 2.0], 2.0 + 2 / 3), ([1, 2, 3], 4.0)]
)
def test_a_bisection_costs_its_average_path(costs: list[float], expected: float) -> None:
    assert expected_cost(costs) == pytest.approx(expected)
