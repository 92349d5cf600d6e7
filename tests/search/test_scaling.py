from __future__ import annotations

import pytest

from kdsearch.search.scaling import DOUBT, Seen, crossing_weights, size_needed


def test_weights_sum_to_one_and_rule_nothing_out() -> None:
    weights = crossing_weights([2e6, 4e6, 8e6], [Seen(1e6, -0.3)])
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= DOUBT / 4


def test_nothing_seen_is_an_even_guess() -> None:
    assert crossing_weights([1.0, 2.0], []) == pytest.approx([1 / 3] * 3)


def test_two_points_set_the_slope() -> None:
    seen = [Seen(1e6, -0.11), Seen(2e6, -0.04)]
    weights = crossing_weights([4e6, 8e6, 16e6], seen)
    assert weights[0] == max(weights)


def test_the_line_is_followed_to_the_bar() -> None:
    assert size_needed([Seen(1e6, -0.12), Seen(2e6, -0.09)]) == pytest.approx(16e6)


@pytest.mark.parametrize(
    "seen", [[], [Seen(1e6, -0.1)], [Seen(1e6, -0.1), Seen(2e6, -0.1)], [Seen(1e6, -0.1)] * 2]
)
def test_no_line_no_guess(seen: list[Seen]) -> None:
    assert size_needed(seen) is None
