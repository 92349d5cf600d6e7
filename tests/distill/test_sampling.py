"""Orders of rows: what they favour, and that each epoch's can be had again."""

from __future__ import annotations

import pytest

from kdsearch.distill.sampling import EpochSampler, GroupSampler, LengthSampler

GROUPS = ["rare"] * 5 + ["common"] * 95
LENGTHS = [row * 7 % 50 for row in range(200)]


def epochs(sampler: EpochSampler, *numbers: int) -> list[list[int]]:
    found = []
    for number in numbers:
        sampler.set_epoch(number)
        found.append(list(sampler))
    return found


def test_groups_are_drawn_evenly() -> None:
    drawn = [GROUPS[row] for row in GroupSampler(GROUPS, seed=0)]
    assert len(drawn) == 100
    assert 30 < drawn.count("rare") < 70


def test_windows_hold_rows_of_about_one_length() -> None:
    sampler = LengthSampler(LENGTHS, 10, seed=0)
    (order,) = epochs(sampler, 0)
    assert len(sampler) == len(order)
    assert sorted(order) == list(range(200))
    windows = [[LENGTHS[row] for row in order[start : start + 10]] for start in range(0, 200, 10)]
    spread = [max(lengths) - min(lengths) for lengths in windows[1:]]  # the longest row goes first
    assert sum(spread) / len(spread) < 20


@pytest.mark.parametrize("kind", ["group", "length"])
def test_an_epoch_is_the_same_wherever_one_begins(kind: str) -> None:
    def sampler(seed: int = 0) -> EpochSampler:
        if kind == "group":
            return GroupSampler(GROUPS, seed)
        return LengthSampler(LENGTHS, 10, seed)

    first, second, third = epochs(sampler(), 0, 1, 2)
    assert first != second != third != first
    assert epochs(sampler(), 2, 1) == [third, second]
    assert epochs(sampler(seed=1), 0, 1) != [first, second]
