from __future__ import annotations

from kdsearch.search.evidence import Evidence
from kdsearch.search.state import Ending, Result, SizeState


def result(distance: float) -> Result:
    evidence = Evidence(
        0.9, distance, 0.1, 1000, required=0.0, below=distance < -0.05, confirm_items=1000
    )
    return Result(Ending.FINISHED, evidence)


def test_what_arrives_after_a_size_was_given_up_changes_nothing() -> None:
    state = SizeState(configurations=6)
    state.add(4, result(0.01))
    for index in range(3):
        state.add(index, result(-0.1 - index / 1000))
    assert (state.decided, state.winner, state.best()) == (True, None, 0)
    state.add(3, result(-0.01))
    assert (state.best(), state.verdict()) == (0, "no_match")
    assert not state.finding().passed


def test_indices_are_handed_out_once_and_in_order() -> None:
    state = SizeState(configurations=3)
    assert [state.take() for _ in range(4)] == [0, 1, 2, None]
    state.give_back(1)
    assert [state.take(), state.take()] == [1, None]


def test_a_decided_size_hands_out_nothing_unless_it_is_to_be_whole() -> None:
    state = SizeState(configurations=3)
    state.add(0, result(0.01))
    assert state.take() is None
    assert [state.take(whole=True) for _ in range(3)] == [1, 2, None]
    assert not state.complete


def test_one_failure_keeps_a_size_undecided() -> None:
    state = SizeState(configurations=2)
    state.add(0, Result(Ending.FAILED))
    state.add(1, result(-0.2))
    assert state.verdict() == "undecided"
