"""Which size to visit next, given which sizes passed and which failed on dev.

Orders assume that larger students are no worse; they choose what is trained, never what is true.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.scaling import Seen, crossing_weights
from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

WIDEST_TREE = 24
"""Sizes in a bracket up to which the best tree is computed: two milliseconds; then the middle."""

NEAREST = 4
"""Failed sizes that a guess looks at: the largest."""


class Visit(NamedTuple):
    """A size of the ladder, as an order sees it."""

    size: float
    """Its parameters, or anything in proportion."""
    passing: float
    """What visiting it costs if it passes, in any unit."""
    failing: float
    """What visiting it costs if it fails."""


def next_size(
    strategy: Strategy,
    visits: Sequence[Visit],
    passed: set[int],
    failed: Mapping[int, float | None],
) -> int | None:
    """Return the position of the next size, or None when dev has found its candidate.

    Args:
        strategy: The order of visits.
        visits: The sizes, ascending.
        passed: Positions that passed on dev.
        failed: By position, how far below what was required a failed size's best trial was; None
            where no trial gave a score.
    """
    if strategy is Strategy.BISECT:
        high = min(passed, default=len(visits))
        low = max((position for position in failed if position < high), default=-1)
        return _split(visits, low + 1, high - 1, failed)
    if strategy is Strategy.ASCEND:
        return upward(len(visits), passed, failed)
    visited = {*passed, *failed}
    open_sizes = [position for position in range(len(visits)) if position not in visited]
    if strategy is Strategy.EXHAUSTIVE:
        return open_sizes[0] if open_sizes else None
    return open_sizes[-1] if open_sizes and not failed else None


def upward(count: int, passed: Container[int], failed: Container[int]) -> int | None:
    """Return the smallest open position, as long as no smaller one has passed."""
    for position in range(count):
        if position in passed:
            return None
        if position not in failed:
            return position
    return None


def _split(
    visits: Sequence[Visit], first: int, last: int, failed: Mapping[int, float | None]
) -> int | None:
    if first > last:
        return None
    if last - first >= WIDEST_TREE:
        return (first + last) // 2
    seen = [
        Seen(visits[position].size, distance)
        for position, distance in sorted(failed.items())
        if distance is not None and position < first
    ]
    bracket = visits[first : last + 1]
    weights = crossing_weights([visit.size for visit in bracket], seen[-NEAREST:])
    return first + cheapest_root(bracket, weights)


def cheapest_root(visits: Sequence[Visit], weights: Sequence[float]) -> int:
    """Return the size at which to split a bracket at the least expected cost.

    Optimal binary search trees by dynamic programming (Knuth 1971), the cost of a node depending
    on the side that the search leaves it by. Plain bisection is one of the trees.

    Args:
        visits: The sizes of the bracket, ascending.
        weights: For each size the chance that it is the smallest that passes, and a last one that
            none of them does.
    """
    sums = [0.0, *accumulate(weights)]
    best: dict[tuple[int, int], tuple[float, int]] = {}

    def cost(first: int, last: int) -> float:
        return best[first, last][0] if first <= last else 0.0

    for width in range(len(visits)):
        for first in range(len(visits) - width):
            last = first + width
            best[first, last] = min(
                (
                    (sums[root + 1] - sums[first]) * visits[root].passing
                    + (sums[last + 2] - sums[root + 1]) * visits[root].failing
                    + cost(first, root - 1)
                    + cost(root + 1, last),
                    root,
                )
                for root in range(first, last + 1)
            )
    return best[0, len(visits) - 1][1]
