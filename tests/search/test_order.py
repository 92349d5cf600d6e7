from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.search.order import Visit, cheapest_root, next_size, upward
from kdsearch.spec.models import Strategy

EVEN = [Visit(1.6**place, 1.0, 1.0) for place in range(7)]

costs = st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.1, 9.0)), min_size=1, max_size=7)


def visits_of(drawn: list[tuple[float, float]]) -> list[Visit]:
    return [Visit(1.6**place, *pair) for place, pair in enumerate(drawn)]


def tree_cost(visits: list[Visit], weights: list[float], *, best: bool) -> float:
    """The expected cost of always splitting at the best root, or always in the middle."""

    @lru_cache(None)
    def cost(first: int, last: int) -> float:
        if first > last:
            return 0.0
        middle = (first + last) // 2
        return min(
            sum(weights[first : root + 1]) * visits[root].passing
            + sum(weights[root + 1 : last + 2]) * visits[root].failing
            + cost(first, root - 1)
            + cost(root + 1, last)
            for root in (range(first, last + 1) if best else (middle,))
        )

    return cost(0, len(visits) - 1)


@settings(deadline=None)
@given(costs, st.data())
def test_the_tree_is_the_cheapest_and_never_worse_than_bisection(
    drawn: list[tuple[float, float]], data: st.DataObject
) -> None:
    visits = visits_of(drawn)
    count = len(visits) + 1
    weights = data.draw(st.lists(st.floats(0.01, 1.0), min_size=count, max_size=count))
    root = cheapest_root(visits, weights)
    here = sum(weights[: root + 1]) * visits[root].passing
    here += sum(weights[root + 1 :]) * visits[root].failing
    smaller = tree_cost(visits[:root], weights[: root + 1], best=True)
    larger = tree_cost(visits[root + 1 :], weights[root + 1 :], best=True)
    assert here + smaller + larger == pytest.approx(tree_cost(visits, weights, best=True))
    assert here + smaller + larger <= tree_cost(visits, weights, best=False) + 1e-9


def test_equal_costs_are_bisected() -> None:
    assert cheapest_root(EVEN, [1.0] * 8) == 3


@pytest.mark.parametrize(
    ("strategy", "passed", "failed", "following"),
    [
        (Strategy.BISECT, set(), {}, 3),
        (Strategy.BISECT, {3}, {2: None}, None),
        (Strategy.BISECT, set(), {6: None}, None),
        (Strategy.ASCEND, set(), {0: None, 1: None}, 2),
        (Strategy.ASCEND, {2}, {0: None, 1: None}, None),
        (Strategy.DESCEND, {6}, {}, 5),
        (Strategy.DESCEND, {6}, {5: None}, None),
        (Strategy.EXHAUSTIVE, {0}, {1: None}, 2),
        (Strategy.EXHAUSTIVE, set(range(7)), {}, None),
    ],
)
def test_next_size(
    strategy: Strategy, passed: set[int], failed: dict[int, float | None], following: int | None
) -> None:
    assert next_size(strategy, EVEN, passed, failed) == following


def test_a_far_miss_jumps_further_than_a_near_one() -> None:
    near = next_size(Strategy.BISECT, EVEN, set(), {1: -0.01})
    far = next_size(Strategy.BISECT, EVEN, set(), {1: -0.30})
    assert near is not None
    assert far is not None
    assert near < far


def test_a_wide_bracket_is_halved() -> None:
    visits = [Visit(1.01**place, 1.0, 1.0) for place in range(1001)]
    assert next_size(Strategy.BISECT, visits, set(), {}) == 500


@pytest.mark.parametrize(
    ("passed", "failed", "following"),
    [(set(), {0, 2}, 1), ({1}, {0}, None), (set(), {0, 1, 2}, None)],
)
def test_upward(passed: set[int], failed: set[int], following: int | None) -> None:
    assert upward(3, passed, failed) == following
