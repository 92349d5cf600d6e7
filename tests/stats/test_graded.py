from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdsearch.stats.graded import (
    Running,
    paired_figures,
    paired_t_test,
    recipe_test,
    spread_of,
    unit_means,
)

values = st.lists(st.floats(-1.0, 1.0).map(lambda value: round(value, 3)), min_size=2, max_size=40)


@given(values.filter(lambda drawn: len(set(drawn)) > 1), st.floats(0.0, 0.5))
def test_paired_t_equals_scipy(drawn: list[float], margin: float) -> None:
    expected = stats.ttest_1samp(drawn, -margin, alternative="greater")
    test = paired_t_test(drawn, margin, 0.95)
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert test.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    low = expected.confidence_interval(0.95).low
    assert test.lower_bound == pytest.approx(low, abs=1e-7)


@pytest.mark.parametrize(("margin", "passes", "p_value"), [(0.0, False, 0.5), (0.1, True, 0.0)])
def test_equal_graded_scores(margin: float, passes: bool, p_value: float) -> None:
    test = paired_t_test([0.0] * 9, margin, 0.95)
    assert (test.passes, test.p_value) == (passes, p_value)


@given(values)
def test_a_running_sample_is_the_sample(drawn: list[float]) -> None:
    running = Running()
    for value in drawn:
        running.add(value)
    assert running.spread == pytest.approx(spread_of(drawn), abs=1e-9)


def test_units_are_averaged_in_order() -> None:
    assert unit_means([1, 0, 1, 1], ["b", "a", "b", "a"]) == [1.0, 0.5]


def test_a_recipe_needs_three_seeds() -> None:
    with pytest.raises(ValueError, match="at least 3 seeds"):
        recipe_test([[0.0, 1.0]] * 2, 0.02, 0.95)


def test_a_recipe_counts_the_spread_of_seeds_and_of_items() -> None:
    items = [1.0, -1.0, 0.0, 0.0] * 500
    alike = recipe_test([items] * 3, 0.02, 0.95)
    one = paired_t_test(items, 0.02, 0.95)
    assert alike.lower_bound == pytest.approx(one.lower_bound, abs=1e-4)
    shifted = [[value + shift for value in items] for shift in (0.03, -0.03, 0.0)]
    assert recipe_test(shifted, 0.02, 0.95).lower_bound < one.lower_bound - 0.015
    constant = recipe_test([[0.0] * 9] * 3, 0.02, 0.95)
    assert (constant.passes, constant.lower_bound) == (True, 0.0)


def test_false_matches_of_a_recipe_stay_near_nominal() -> None:
    random, runs, false, alone = Random(1), 400, 0, 0
    for _ in range(runs):
        luck = [random.gauss(-0.02, 0.28) for _ in range(300)]
        seeds = [
            [value + random.gauss(seed, 0.1) for value in luck]
            for seed in (random.gauss(0, 0.005) for _ in range(3))
        ]
        false += recipe_test(seeds, 0.02, 0.95).passes
        alone += paired_t_test([sum(values) / 300 for values in seeds], 0.02, 0.95).passes
    assert false / runs < 0.07
    assert alone / runs > 0.10  # what a t over seed means alone would do


def test_figures_of_units() -> None:
    figures = paired_figures([1, 0, 1, 1], [1, 1, 0, 1], units=["a", "a", "b", "b"])
    assert figures == {
        "difference": 0.0,
        "deviation": pytest.approx(0.7071, abs=1e-4),
        "items": 2,
    }
    assert paired_figures([0.5], [1.0], retain=0.5)["difference"] == 0.0
