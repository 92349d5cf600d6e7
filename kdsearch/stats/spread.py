"""Means, standard deviations and units of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class Spread(NamedTuple):
    """The mean of a sample and its standard deviation."""

    mean: float
    deviation: float
    values: int


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation (n - 1); the deviation of one value is 0."""
    count = len(values)
    mean = math.fsum(values) / count
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / max(1, count - 1)), count)


@dataclass
class Running:
    """A sample that grows by one value at a time (Welford 1962)."""

    values: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean."""

    def add(self, value: float) -> None:
        """Take in a value."""
        self.values += 1
        step = value - self.mean
        self.mean += step / self.values
        self.squares += step * (value - self.mean)

    @property
    def spread(self) -> Spread:
        """The mean and standard deviation so far."""
        return Spread(self.mean, math.sqrt(self.squares / max(1, self.values - 1)), self.values)


def unit_means(values: Sequence[float], units: Sequence[Hashable]) -> list[float]:
    """Average items of one unit, which are not independent; in order of first appearance."""
    grouped: dict[Hashable, list[float]] = {}
    for value, unit in zip(values, units, strict=True):
        grouped.setdefault(unit, []).append(value)
    return [math.fsum(group) / len(group) for group in grouped.values()]


def paired_figures(
    student: Sequence[float],
    teacher: Sequence[float],
    retain: float | None = None,
    units: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """Return what a trial reports of graded scores, or of items that come in units.

    Args:
        student: The student's score of each item.
        teacher: The teacher's.
        retain: The share of the teacher's score to keep, where that is the claim.
        units: The unit of each item, where items of one unit are not independent.

    Returns:
        `difference`, its `deviation` between independent items or units, and their number,
        `items`: the `paired` field of trial events.
    """
    kept = 1.0 if retain is None else retain
    values = [own - kept * other for own, other in zip(student, teacher, strict=True)]
    spread = spread_of(values if units is None else unit_means(values, units))
    return {"difference": spread.mean, "deviation": spread.deviation, "items": spread.values}
