"""Which size to visit next, given which sizes passed and which failed on dev.

Orders assume that larger students are no worse; they choose what is trained, never what is true.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

WIDEST_TREE = 24
"""Sizes in a bracket up to which the best tree is computed: a millisecond; then the middle."""


class VisitCost(NamedTuple):
    """What visiting a size costs, in any unit, if it passes and if it fails."""

    passing: float
    failing: float


def next_size(
    strategy: Strategy,
    costs: Sequence[VisitCost],
    passed: Collection[int],
    failed: Collection[int],
) -> int | None:
    """Return the position of the next size, or None when dev has found its candidate.

    Args:
        strategy: The order of visits.
        costs: For each size, in ascending order.
        passed: Positions that passed on dev.
        failed: Positions that failed on dev.
    """
    visited = {*passed, *failed}
    open_sizes = [position for position in range(len(costs)) if position not in visited]
    if strategy is Strategy.EXHAUSTIVE:
        return open_sizes[0] if open_sizes else None
    if strategy is Strategy.ASCEND:
        return open_sizes[0] if open_sizes and not passed else None
    if strategy is Strategy.DESCEND:
        return open_sizes[-1] if open_sizes and not failed else None
    high = min(passed, default=len(costs))
    low = max((position for position in failed if position < high), default=-1)
    return cheapest_root(tuple(costs), low + 1, high - 1)


def cheapest_root(costs: tuple[VisitCost, ...], first: int, last: int) -> int | None:
    """Return the size at which to split a bracket at the least expected cost.

    The smallest passing size is taken to be each one of the bracket, or none of it, with the same
    chance. Optimal binary search trees by dynamic programming (Knuth 1971), the cost of a node
    depending on the side that the search leaves it by. Plain bisection is one of the trees.
    """
    if first > last:
        return None
    if last - first >= WIDEST_TREE:
        return (first + last) // 2
    return _tree(costs[first : last + 1])[1] + first


@lru_cache(maxsize=4096)
def _tree(costs: tuple[VisitCost, ...]) -> tuple[float, int]:
    """Return the cost of the best tree times its number of leaves, and its root."""
    if not costs:
        return 0.0, -1
    count = len(costs)
    options = []
    for root, cost in enumerate(costs):
        smaller, larger = _tree(costs[:root])[0], _tree(costs[root + 1 :])[0]
        here = (root + 1) * cost.passing + (count - root) * cost.failing
        options.append((here + smaller + larger, root))
    return min(options)
