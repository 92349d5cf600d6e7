from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.stats.spread import Running, paired_figures, spread_of, unit_means

values = st.lists(st.floats(-1.0, 1.0).map(lambda value: round(value, 3)), min_size=2, max_size=40)


@given(values)
def test_a_running_sample_is_the_sample(drawn: list[float]) -> None:
    running = Running()
    for value in drawn:
        running.add(value)
    assert running.spread == pytest.approx(spread_of(drawn), abs=1e-9)


def test_units_are_averaged_in_order() -> None:
    assert unit_means([1, 0, 1, 1], ["b", "a", "b", "a"]) == [1.0, 0.5]


def test_figures_of_units() -> None:
    figures = paired_figures([1, 0, 1, 1], [1, 1, 0, 1], units=["a", "a", "b", "b"])
    assert figures == {
        "difference": 0.0,
        "deviation": pytest.approx(0.7071, abs=1e-4),
        "items": 2,
    }
    assert paired_figures([0.5], [1.0], retain=0.5)["difference"] == 0.0
