from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from kdsearch.stats.two_sample import Rate, shift_p_value

CASES = [
    (Rate(60, 60), Rate(30, 120), 0.1),
    (Rate(550, 600), Rate(1200, 1500), 0.03),
    (Rate(500, 1500), Rate(300, 600), 0.05),
    (Rate(58.5, 60), Rate(110.25, 120), 0.02),
    (Rate(30, 30), Rate(50, 60), 0.0),
]


def reference(first: Rate, second: Rate, tolerance: float) -> float:
    """The score test with its likelihood maximised by scipy, not by the slope."""
    (a, n), (b, m) = sorted((first, second), key=lambda rate: -rate.right / rate.items)

    def loss(base: float) -> float:
        pairs = ((a, n, base + tolerance), (b, m, base))
        return -sum(
            right * math.log(rate) + (items - right) * math.log1p(-rate)
            for right, items, rate in pairs
        )

    bounds = (1e-12, 1 - tolerance - 1e-12)
    base = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13})
    rates = ((base.x + tolerance, n), (base.x, m))
    error = math.sqrt(sum(rate * (1 - rate) / items for rate, items in rates))
    return float(2 * stats.norm.sf((a / n - b / m - tolerance) / error))


@pytest.mark.parametrize(("first", "second", "tolerance"), CASES)
def test_the_p_value_is_that_of_the_score_test(first: Rate, second: Rate, tolerance: float) -> None:
    assert shift_p_value(first, second, tolerance) == pytest.approx(
        reference(first, second, tolerance), rel=1e-5
    )


def test_without_tolerance_it_is_the_pooled_test_of_two_rates() -> None:
    table = [[50, 10], [70, 50]]
    chi_square = stats.chi2_contingency(table, correction=False)
    assert shift_p_value(Rate(50, 60), Rate(70, 120), 0.0) == pytest.approx(chi_square.pvalue)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_it_does_not_matter_which_sample_is_named_first(
    n: int, m: int, data: st.DataObject
) -> None:
    one, other = (Rate(data.draw(st.integers(0, items)), items) for items in (n, m))
    tolerance = data.draw(st.sampled_from([0.0, 0.03, 0.5, 0.99]))
    value = shift_p_value(one, other, tolerance)
    assert value == shift_p_value(other, one, tolerance)
    assert 0.0 <= value <= 1.0
    if abs(one.right / n - other.right / m) <= tolerance:
        assert value == 1.0


@pytest.mark.parametrize(("tolerance", "most"), [(0.0, 0.001), (0.03, 0.0004)])
@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_equal_rates_are_told_apart_in_one_of_a_thousand_cases_at_most(
    rate: float, tolerance: float, most: float
) -> None:
    n, m = 30, 60
    chances = [[stats.binom.pmf(x, size, rate) for x in range(size + 1)] for size in (n, m)]
    error = sum(
        chances[0][x] * chances[1][y]
        for x in range(n + 1)
        for y in range(m + 1)
        if shift_p_value(Rate(x, n), Rate(y, m), tolerance) <= 0.001
    )
    assert 0.0 < error <= most
