"""Where larger students might reach the bar, guessed from the sizes tried so far.

Scores rise with the logarithm of size until they level off (Kaplan et al. 2020; Hoffmann et al.
2022). The guess orders visits and words a hint; it is never evidence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOPES = (0.005, 0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25)
"""Score gained a doubling of the size, below the bar; each as likely before anything is tried."""

NOISE = 0.012
"""Deviation of a size's best difference from the line: configurations, seeds, items."""

BEND = 0.15
"""Deviation from the line as a share of the distance to the bar: no line is quite straight."""

DOUBT = 0.2
"""Share of the guess that ignores what was seen, so that no size is ever ruled out by a line."""

POINTS = 3
"""Places within each step of the ladder at which the bar may be reached."""


class Seen(NamedTuple):
    """A size that was tried and failed on dev."""

    size: float
    """Its parameters, or anything in proportion."""
    distance: float
    """Its best difference minus what was required: below zero."""


def crossing_weights(sizes: Sequence[float], failed: Sequence[Seen]) -> list[float]:
    """Return how likely each size is the smallest that passes.

    Args:
        sizes: Of the bracket, ascending: above the largest that failed, below the smallest that
            passed.
        failed: Sizes below the bracket that failed.

    Returns:
        A weight for each size and a last one for none of them; they sum to 1.
    """
    count = len(sizes) + 1
    even = 1.0 / count
    if not failed or len(sizes) < 1:
        return [even] * count
    edges = _edges(sizes, failed)
    logs = [
        [_fit(slope, place, failed) for slope in SLOPES for place in places] for places in edges
    ]
    best = max(max(row) for row in logs)
    masses = [math.fsum(math.exp(log - best) for log in row) / len(row) for row in logs]
    total = math.fsum(masses)
    return [DOUBT * even + (1.0 - DOUBT) * mass / total for mass in masses]


def size_needed(failed: Sequence[Seen]) -> float | None:
    """Return the size at which the line through what was tried reaches the bar.

    Args:
        failed: At least two different sizes; else there is no line.

    Returns:
        None if there is no line, or if scores do not rise with size.
    """
    points = [(math.log2(seen.size), seen.distance) for seen in failed]
    if len({place for place, _ in points}) < 2:
        return None
    centre = math.fsum(place for place, _ in points) / len(points)
    level = math.fsum(distance for _, distance in points) / len(points)
    spread = math.fsum((place - centre) ** 2 for place, _ in points)
    slope = math.fsum((place - centre) * (distance - level) for place, distance in points) / spread
    if slope < SLOPES[0]:
        return None
    needed = centre - level / slope
    return math.exp2(max(needed, max(place for place, _ in points)))


def _edges(sizes: Sequence[float], failed: Sequence[Seen]) -> list[list[float]]:
    """Return places, in doublings, at which the bar may be reached on the way to each size."""
    lower = math.log2(max(seen.size for seen in failed))
    edges = []
    for size in sizes:
        upper = math.log2(size)
        step = (upper - lower) / POINTS
        edges.append([lower + step * (place + 0.5) for place in range(POINTS)])
        lower = upper
    edges.append([lower + doublings for doublings in (0.25, 1.0, 2.0)])
    return edges


def _fit(slope: float, place: float, failed: Sequence[Seen]) -> float:
    """Return the log likelihood of the distances, were the bar reached there at that slope."""
    log = 0.0
    for seen in failed:
        expected = slope * (math.log2(seen.size) - place)
        deviation = math.hypot(NOISE, BEND * expected)
        log -= 0.5 * ((seen.distance - expected) / deviation) ** 2 + math.log(deviation)
    return log
