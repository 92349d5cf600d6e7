from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kdsearch.stats.bounded import Limits, bounded_mean_test, paired_limits

LIMITS = Limits(-1.0, 1.0)
values = st.lists(st.floats(-1.0, 1.0).map(lambda value: round(value, 2)), min_size=2, max_size=40)


@settings(max_examples=40)
@given(st.integers(1, 400), st.floats(0.0, 1.0), st.floats(0.02, 0.98))
def test_right_and_wrong_answers_take_the_bound_of_clopper_and_pearson(
    items: int, share: float, rate: float
) -> None:
    right = round(items * share)
    test = bounded_mean_test([1.0] * right + [0.0] * (items - right), Limits(0, 1), rate, 0.95)
    assert test.p_value == pytest.approx(stats.binom.sf(right - 1, items, rate), abs=1e-8)
    if 0 < right < items:
        low, high = stats.binomtest(right, items).proportion_ci(0.9, "exact")
        assert (test.lower_bound, test.upper_bound) == pytest.approx((low, high), abs=1e-6)


def test_it_is_the_probability_of_a_weighted_mean() -> None:
    drawn = np.array([0.3, -0.2, 0.0, 0.7, -0.5, 0.1])
    weights = np.random.default_rng(0).exponential(size=(200_000, 7))
    means = weights @ np.append(drawn, -1.0) / weights.sum(axis=1)
    found = bounded_mean_test(list(drawn), LIMITS, -0.1, 0.95).p_value
    assert found == pytest.approx((means <= -0.1).mean(), abs=0.004)


@settings(max_examples=30)
@given(values, st.floats(0.0, 0.3))
def test_bounds_hold_the_mean_and_say_what_the_test_says(drawn: list[float], margin: float) -> None:
    test = bounded_mean_test(drawn, LIMITS, -margin, 0.95)
    mean = sum(drawn) / len(drawn)
    assert test.lower_bound - 1e-6 <= mean <= test.upper_bound + 1e-6
    if abs(test.p_value - 0.05) > 1e-6:
        assert test.passes == (test.lower_bound > -margin)


@pytest.mark.parametrize(("units", "passes"), [(100, False), (200, True)])
def test_no_variance_is_no_evidence(units: int, passes: bool) -> None:
    test = bounded_mean_test([0.0] * units, LIMITS, -0.02, 0.95)
    assert test.p_value == pytest.approx(0.98**units, abs=1e-9)
    assert test.passes is passes
    assert test.lower_bound < -0.01 < 0.01 < test.upper_bound


def test_many_values_are_tested_nearly_as_by_a_t_test() -> None:
    drawn = np.clip(np.random.default_rng(1).normal(0.0, 0.3, 4000), -1, 1).round(2)
    test = bounded_mean_test(list(drawn), LIMITS, -0.02, 0.95)
    interval = stats.ttest_1samp(drawn, 0.0, alternative="greater").confidence_interval(0.95)
    assert test.lower_bound == pytest.approx(interval.low, abs=0.0005)


def test_rare_losses_do_not_fool_it_as_they_fool_a_t_test() -> None:
    random, runs, false, by_t = Random(2), 400, 0, 0
    for _ in range(runs):
        drawn = [-1.0 if random.random() < 0.02 else 0.0 for _ in range(100)]
        false += bounded_mean_test(drawn, LIMITS, -0.02, 0.95).passes
        by_t += (
            len(set(drawn)) == 1
            or stats.ttest_1samp(drawn, -0.02, alternative="greater").pvalue < 0.05
        )
    assert false / runs <= 0.05
    assert by_t / runs > 0.1


def test_what_is_not_possible_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        bounded_mean_test([0.5, 1.2], LIMITS, 0.0, 0.95)
    with pytest.raises(ValueError, match="at least one"):
        bounded_mean_test([], LIMITS, 0.0, 0.95)
    assert paired_limits(0.9) == (-0.9, 1.0)
