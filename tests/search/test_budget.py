"""Budgets in steps, epochs and tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search.budget import held_out, planned_tokens, steps_of, steps_per_epoch
from kdsearch.spec.training import Training

sizes = st.integers(1, 50)


def batches(items: int, batch: int, window: int) -> list[list[list[int]]]:
    """Return an epoch as a data loader would cut it: windows of batches of rows."""
    rows = list(range(items))
    cut = [rows[start : start + batch] for start in range(0, items, batch)]
    return [cut[start : start + window] for start in range(0, len(cut), window)]


@given(items=sizes, batch=sizes, window=sizes, epochs=st.integers(1, 5), length=sizes)
def test_epochs_and_their_tokens_are_the_same_steps(
    items: int, batch: int, window: int, epochs: int, length: int
) -> None:
    cut = {"batch_size": batch, "gradient_accumulation": window}
    whole = epochs * len(batches(items, batch, window))
    assert steps_of(Training(**cut, epochs=epochs), items) == whole
    assert steps_of(Training(**cut, tokens=epochs * items * length), items, items * length) == whole
    assert planned_tokens(Training(**cut, epochs=epochs), items, length) >= epochs * items * length


def test_what_is_begun_of_a_step_is_a_whole_one() -> None:
    assert steps_of(Training(batch_size=10, epochs=0.01), 100) == 1
    assert steps_of(Training(batch_size=10, epochs=1.5), 30) == 5
    assert steps_of(Training(batch_size=10, tokens=101), 100, 1000) == 2


def test_a_budget_that_counts_the_unknown_is_unknown() -> None:
    assert steps_of(Training(epochs=2), None) is None
    assert steps_of(Training(tokens=100), 10, None) is None
    assert steps_of(Training(max_steps=3), None) == 3
    assert planned_tokens(Training(tokens=100, batch_size=2), 10, 7) == 114


def test_no_budget_is_a_thousand_steps() -> None:
    assert steps_of(Training(), None) == 1000
    assert steps_per_epoch(Training(batch_size=8), 9) == 2


def test_what_is_held_out_is_not_trained_on() -> None:
    assert held_out(Training(), 100) == 0
    assert held_out(Training(validation=0.25), 100) == 25
    assert held_out(Training(validation=40), 100) == 40
    assert steps_of(Training(batch_size=10, epochs=2, validation=40), 100) == 12
    assert steps_of(Training(batch_size=10, tokens=600, validation=40), 100, 300) == 12
