from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdsearch.search.graded import paired_t_test, seeds_test, unit_means

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


def test_units_are_averaged_in_order() -> None:
    assert unit_means([1, 0, 1, 1], ["b", "a", "b", "a"]) == [1.0, 0.5]


def test_seeds_need_three_and_count_the_spread() -> None:
    with pytest.raises(ValueError, match="at least 3 seeds"):
        seeds_test([0.0, 0.0], 0.02, 0.95)
    assert seeds_test([0.001, -0.001, 0.0], 0.02, 0.95).passes
    assert not seeds_test([0.03, -0.03, 0.0], 0.02, 0.95).passes
