from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdsearch.stats.distributions import (
    binomial_tail,
    normal_quantile,
    normal_tail,
    t_quantile,
    t_tail,
)


@given(st.integers(0, 4000), st.integers(1, 4000), st.floats(0.05, 0.95))
def test_binomial_tail_equals_scipy(successes: int, trials: int, rate: float) -> None:
    successes = min(successes, trials)
    expected = stats.binom.sf(successes - 1, trials, rate)
    assert binomial_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("freedom", [1, 2, 4, 29, 299, 4000])
@pytest.mark.parametrize("probability", [0.01, 0.05, 0.4, 0.5, 0.9, 0.95, 0.975, 0.9958])
def test_t_quantile_equals_scipy(probability: float, freedom: int) -> None:
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert t_tail(expected, freedom) == pytest.approx(1 - probability, rel=1e-8)


@pytest.mark.parametrize("value", [-3.0, 0.0, 1.6448536269514722, 9.0, 30.0])
def test_normal_tail_is_exact_far_out(value: float) -> None:
    assert normal_tail(value) == pytest.approx(stats.norm.sf(value), rel=1e-10)


def test_normal_quantile_inverts_the_tail() -> None:
    assert normal_tail(normal_quantile(0.975)) == pytest.approx(0.025)
