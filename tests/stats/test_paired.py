from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import optimize
from statsmodels.stats.proportion import proportion_confint

from kdsearch.stats.paired import (
    alpha_shares,
    retain_test,
    tango_statistic,
    tango_test,
    wilson_interval,
)

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 900)).map(
    lambda drawn: (drawn[0], drawn[1], sum(drawn))
)
differences = st.floats(-0.3, 0.3).filter(lambda value: abs(value) > 1e-3)


def constrained_statistic(b: int, c: int, n: int, difference: float) -> float:
    """The score statistic with the likelihood maximised numerically under the null."""

    def negative(rate: float) -> float:
        cells = ((b, rate + difference), (c, rate), (n - b - c, 1 - 2 * rate - difference))
        return -math.fsum(k * math.log(max(p, 1e-300)) for k, p in cells if k)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(
        negative, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    )
    rate = min((low, high, found.x), key=negative)
    return (b - c - n * difference) / math.sqrt(n * (2 * rate + difference * (1 - difference)))


@given(counts, differences)
def test_tango_equals_constrained_likelihood(
    drawn: tuple[int, int, int], difference: float
) -> None:
    expected = constrained_statistic(*drawn, difference)
    assert tango_statistic(*drawn, difference) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(counts, st.floats(0.0, 0.3), st.sampled_from([0.9, 0.95, 0.975]))
@example((0, 0, 1), 5e-324, 0.9)
def test_bounds_agree_with_the_test(
    drawn: tuple[int, int, int], margin: float, confidence: float
) -> None:
    test = tango_test(*drawn, margin, confidence)
    assert test.lower_bound <= (drawn[0] - drawn[1]) / drawn[2] + 1e-12
    assert test.upper_bound >= (drawn[0] - drawn[1]) / drawn[2] - 1e-12
    if abs(test.p_value - (1 - confidence)) > 1e-9:
        assert test.passes == (test.lower_bound > -margin) == (test.p_value < 1 - confidence)


@given(counts, st.floats(0.0, 0.3))
def test_bounds_mirror_when_student_and_teacher_swap(
    drawn: tuple[int, int, int], margin: float
) -> None:
    b, c, n = drawn
    one, other = tango_test(b, c, n, margin, 0.95), tango_test(c, b, n, margin, 0.95)
    assert one.lower_bound == pytest.approx(-other.upper_bound, abs=1e-9)


def test_equal_students_do_not_pass_at_margin_zero() -> None:
    test = tango_test(0, 0, 500, 0.0, 0.95)
    assert (test.statistic, test.p_value, test.passes) == (0.0, 0.5, False)
    assert test.lower_bound < 0 < test.upper_bound


@pytest.mark.parametrize(("b", "c"), [(0, 0), (200, 0), (0, 200), (100, 100)])
def test_extreme_counts_have_bounds(b: int, c: int) -> None:
    test = tango_test(b, c, 200, 0.05, 0.95)
    assert -1 <= test.lower_bound < test.upper_bound <= 1


@pytest.mark.parametrize("bad", [(-1, 0, 10), (6, 5, 10), (0, 0, 0)])
def test_impossible_counts_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        tango_test(*bad, 0.05, 0.95)
    with pytest.raises(ValueError, match="impossible counts"):
        retain_test(0, *bad, 0.97, 0.95)


@given(counts)
def test_retaining_everything_is_tango_at_margin_zero(drawn: tuple[int, int, int]) -> None:
    b, c, n = drawn
    tango, retain = tango_test(b, c, n, 0.0, 0.95), retain_test(n - b - c, b, c, n, 1.0, 0.95)
    assert retain.statistic == pytest.approx(tango.statistic, abs=1e-7)
    assert retain.lower_bound == pytest.approx(tango.lower_bound, abs=1e-7)
    assert retain.upper_bound == pytest.approx(tango.upper_bound, abs=1e-7)


@given(counts, st.floats(0.5, 0.99), st.floats(0.0, 1.0))
def test_retain_bounds_hold_the_observed_mean(
    drawn: tuple[int, int, int], retain: float, share: float
) -> None:
    b, c, n = drawn
    both = int(share * (n - b - c))
    test = retain_test(both, b, c, n, retain, 0.95)
    mean = (both * (1 - retain) + b - retain * c) / n
    assert test.lower_bound - 1e-9 <= mean <= test.upper_bound + 1e-9
    if abs(test.p_value - 0.05) > 1e-6:
        assert test.passes == (test.lower_bound > 0)


def test_wilson_holds_the_rate_itself() -> None:
    for items in range(1, 1200):
        assert wilson_interval(0, items, 0.95)[0] == 0.0
        assert wilson_interval(items, items, 0.95)[1] == 1.0


@given(st.integers(0, 300), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_equals_statsmodels(right: int, confidence: float) -> None:
    expected = proportion_confint(right, 300, alpha=1 - confidence, method="wilson")
    assert wilson_interval(right, 300, confidence) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "shares"),
    [
        (0, ()),
        (1, (0.05,)),
        (2, (0.025, 0.025)),
        (3, (0.025, 0.0125, 0.0125)),
        (4, (0.025, 0.0125, 0.00625, 0.00625)),
    ],
)
def test_alpha_shares(count: int, shares: tuple[float, ...]) -> None:
    assert alpha_shares(count, 0.05) == pytest.approx(shares)
