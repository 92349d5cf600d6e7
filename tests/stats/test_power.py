from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.stats.paired import tango_test
from kdsearch.stats.power import (
    items_for_margin,
    power_of,
    smallest_supported_margin,
    variance_of,
)


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


@pytest.mark.parametrize(("student_only", "teacher_only"), [(40, 40), (60, 140), (0, 50)])
def test_bounds_tell_the_variance(student_only: int, teacher_only: int) -> None:
    test = tango_test(student_only, teacher_only, 2000, 0.02, 0.975)
    difference = (student_only - teacher_only) / 2000
    expected = (student_only + teacher_only) / 2000 - difference**2
    variance = variance_of(test.lower_bound, test.upper_bound, 2000, 0.025)
    assert variance == pytest.approx(expected, rel=0.1)


def test_power_agrees_with_simulated_tango() -> None:
    random, runs, matches = Random(0), 1500, 0
    for _ in range(runs):
        discordant = sum(random.random() < 0.08 for _ in range(1000))
        student = sum(random.random() < 0.5 for _ in range(discordant))
        matches += tango_test(student, discordant - student, 1000, 0.02, 0.95).passes
    assert matches / runs == pytest.approx(power_of(1000, 0.02, 0.0, 0.08, 0.05), abs=0.04)
