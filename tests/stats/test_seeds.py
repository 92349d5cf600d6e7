from __future__ import annotations

from random import Random

import pytest
from scipy import stats

from kdsearch.stats.bounded import Limits, bounded_mean_test
from kdsearch.stats.seeds import recipe_test

LIMITS = Limits(-1.0, 1.0)
ITEMS = [1.0, -1.0, 0.0, 0.0] * 500


def test_a_recipe_needs_three_seeds() -> None:
    with pytest.raises(ValueError, match="at least 3 seeds"):
        recipe_test([[0.0, 1.0]] * 2, LIMITS, -0.02, 0.95)


def test_seeds_that_are_alike_are_tested_as_one() -> None:
    alike, one = (
        recipe_test([ITEMS] * 3, LIMITS, -0.02, 0.95),
        bounded_mean_test(ITEMS, LIMITS, -0.02, 0.95),
    )
    assert alike.lower_bound == pytest.approx(one.lower_bound, abs=1e-6)


def test_seeds_that_differ_widen_the_bounds_by_t() -> None:
    shifted = [[value / 2 + shift for value in ITEMS] for shift in (0.03, -0.03, 0.0)]
    items = bounded_mean_test([value / 2 for value in ITEMS], LIMITS, -0.02, 0.95)
    reach = stats.t.ppf(0.95, 2) * 0.03 / 3**0.5
    test = recipe_test(shifted, LIMITS, -0.02, 0.95)
    assert test.lower_bound == pytest.approx(-((reach**2 + items.lower_bound**2) ** 0.5), abs=1e-6)
    assert not test.passes
    assert test.p_value > 0.05


def test_no_variance_is_no_evidence() -> None:
    test = recipe_test([[0.0] * 90] * 3, LIMITS, -0.02, 0.95)
    assert (test.passes, test.lower_bound < -0.02) == (False, True)


def test_equal_means_by_chance_are_not_taken_for_seeds_that_do_not_vary() -> None:
    random = Random(0)
    halves = [1.0] * 50 + [-1.0] * 50
    seeds = [random.sample(halves, 100) for _ in range(3)]
    over = [sum(column) / 3 for column in zip(*seeds, strict=True)]
    items = bounded_mean_test(over, LIMITS, -0.1, 0.95)
    assert recipe_test(seeds, LIMITS, -0.1, 0.95).lower_bound < items.lower_bound - 0.05


@pytest.mark.parametrize("deviation", [0.0, 0.02])
def test_false_matches_of_a_recipe_stay_below_nominal(deviation: float) -> None:
    random, runs, false = Random(1), 200, 0
    for _ in range(runs):
        luck = [random.gauss(-0.02, 0.25) for _ in range(150)]
        seeds = []
        for _ in range(3):
            shift = random.gauss(0.0, deviation)
            own = (value + random.gauss(shift, 0.1) for value in luck)
            seeds.append([round(min(1.0, max(-1.0, value)), 1) for value in own])
        false += recipe_test(seeds, LIMITS, -0.02, 0.95).passes
    assert false / runs <= 0.06
