from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search.expectation import expect
from kdsearch.search.rules import Rules, SizeCost
from kdsearch.spec.models import Strategy

RULES = Rules(margin=0.05, dev_items=500, confirm_items=1000)


def ladder(*flops: float) -> list[SizeCost]:
    return [SizeCost(f"s{place}", cost) for place, cost in enumerate(flops)]


@pytest.mark.parametrize(
    ("strategy", "visits"),
    [("exhaustive", 3.0), ("ascend", 9 / 4), ("descend", 9 / 4), ("bisect", 2.0)],
)
def test_visits_of_three_sizes_of_one_cost(strategy: Strategy, visits: float) -> None:
    rules = replace(RULES, strategy=Strategy(strategy))
    assert expect(ladder(1, 1, 1), rules).sizes == pytest.approx(visits)


def test_one_size_by_hand() -> None:
    """It passes with its baseline and one configuration, or fails with at most all four."""
    expected = expect(ladder(10), replace(RULES, configurations=4))
    assert expected.sizes == 1.0
    assert 10 * (2 + 2) / 2 < expected.flops <= 10 * (2 + 5) / 2


def test_a_share_to_retain_is_played_too() -> None:
    rules = replace(RULES, margin=None, retain=0.95)
    assert expect(ladder(10), rules) == (1.0, 20)


@given(st.lists(st.floats(1, 100), min_size=1, max_size=8).map(sorted), st.integers(1, 4))
def test_no_strategy_costs_more_than_the_grid(flops: list[float], configurations: int) -> None:
    for strategy in Strategy:
        rules = replace(RULES, strategy=strategy, configurations=configurations)
        expected = expect(ladder(*flops), rules)
        assert 0 < expected.flops <= sum(flops) * (configurations + 1) * 1.000001
        assert 1 <= expected.sizes <= len(flops)
