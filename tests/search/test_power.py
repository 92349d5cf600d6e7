from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search.power import (
    items_for_margin,
    items_needed,
    power_of,
    smallest_supported_margin,
)
from kdsearch.search.statistics import tango_test


@pytest.mark.parametrize(
    ("disagreement", "alpha", "points"),
    [(0.16, 0.05, 6.2), (0.30, 0.05, 8.5), (0.16, 0.025, 7.0), (0.30, 0.025, 9.6)],
)
def test_margins_of_254_items(disagreement: float, alpha: float, points: float) -> None:
    margin = smallest_supported_margin(254, disagreement, alpha)
    assert 100 * margin == pytest.approx(points, abs=0.06)


@pytest.mark.parametrize(("alpha", "items"), [(0.05, 4947), (0.025, 6280)])
def test_items_for_one_point(alpha: float, items: int) -> None:
    assert items_for_margin(0.01, 0.08, alpha) == items


@given(st.integers(50, 5000), st.floats(0.02, 0.4))
def test_items_and_margin_are_inverse(items: int, disagreement: float) -> None:
    margin = smallest_supported_margin(items, disagreement, 0.05)
    assert abs(items_for_margin(margin, disagreement, 0.05) - items) <= 1


def test_items_needed_grow_towards_the_margin_and_end_at_it() -> None:
    above, near = items_needed(8, 8, 100, 0.05, 0.05), items_needed(8, 12, 100, 0.05, 0.05)
    assert above is not None
    assert near is not None
    assert 100 < above < near
    assert items_needed(8, 13, 100, 0.05, 0.05) is None
    assert items_needed(8, 28, 100, 0.05, 0.05) is not None


def test_power_agrees_with_simulated_tango() -> None:
    random, runs, matches = Random(0), 1500, 0
    for _ in range(runs):
        discordant = sum(random.random() < 0.08 for _ in range(1000))
        student = sum(random.random() < 0.5 for _ in range(discordant))
        matches += tango_test(student, discordant - student, 1000, 0.02, 0.95).passes
    assert matches / runs == pytest.approx(power_of(1000, 0.02, 0.0, 0.08, 0.05), abs=0.04)
