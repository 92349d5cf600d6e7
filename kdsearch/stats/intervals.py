"""Two-sided intervals of scores: of a mean over items, and of figures that are no mean."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.plugin.domain_calls import score_aggregate
from kdsearch.plugin.union import Union
from kdsearch.stats.paired import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from kdsearch.plugin.api import Domain, Example, Prediction

RESAMPLES = 1000
"""By seed and place, a bound of a 95 % interval varies by about 5 % of the interval's width."""


class Interval(NamedTuple):
    """A score with the interval that holds the true one in so many cases."""

    score: float
    low: float
    high: float


def mean_interval(
    scores: Sequence[float],
    confidence: float,
    units: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Return the interval of a mean score.

    Right and wrong answers that stand alone by Wilson (1927); graded scores, and items that come
    in units, by a bootstrap of the units.

    Args:
        scores: In 0..1, an item; at least one.
        confidence: Share of such intervals that hold the true mean.
        units: What each item belongs to; None where every item stands alone.
        seed: Fixes the resamples.
    """
    mean = math.fsum(scores) / len(scores)
    groups = grouped(units if units is not None else range(len(scores)))
    sums = [math.fsum(scores[place] for place in group) for group in groups]
    sizes = [len(group) for group in groups]
    even = len({total / size for total, size in zip(sums, sizes, strict=True)}) == 1
    binary = len(groups) == len(scores) and all(score in (0.0, 1.0) for score in scores)
    if binary or even:  # without any spread a bootstrap would be certain
        count = len(groups)
        return Interval(mean, *wilson_interval(mean * count, count, confidence))

    def resampled(chosen: Sequence[int]) -> float:
        total = sum(map(sums.__getitem__, chosen))
        return total / sum(map(sizes.__getitem__, chosen))

    return Interval(mean, *_percentiles(resampled, len(groups), confidence, seed))


def bootstrap_interval(
    figure: Callable[[Sequence[int]], float],
    items: int,
    confidence: float,
    units: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a figure over resampled items (Efron 1979).

    Args:
        figure: Of the items at some places, which may come more than once.
        items: How many there are.
        confidence: Share of such intervals that hold the true figure.
        units: What each item belongs to; units are drawn whole.
        seed: Fixes the resamples.
    """
    groups = grouped(units if units is not None else range(items))

    def resampled(chosen: Sequence[int]) -> float:
        return figure([place for unit in chosen for place in groups[unit]])

    found = figure(range(items))
    return Interval(found, *_percentiles(resampled, len(groups), confidence, seed))


def aggregate_intervals(
    domain: Domain,
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    confidence: float,
    units: Sequence[Hashable] | None = None,
) -> dict[str, Interval]:
    """Return a domain's figures that are no mean over items, such as macro-F1, with intervals.

    Args:
        domain: Scores the answers.
        predictions: In the order of the examples.
        examples: What was asked.
        confidence: Share of such intervals that hold the true figure.
        units: What each item belongs to; None where every item stands alone.
    """
    found: dict[str, Interval] = {}
    if isinstance(domain, Union):  # each over its own items, whatever the others' are
        for label, places in domain.places(examples).items():
            own = domain.own(label, places, predictions, examples)
            among = None if units is None else [units[place] for place in places]
            each = aggregate_intervals(domain.by_label[label].domain, *own, confidence, among)
            found |= {f"{label}:{name}": interval for name, interval in each.items()}
        return found
    for name in domain.aggregates:

        def figure(places: Sequence[int], name: str = name) -> float:
            chosen = [predictions[place] for place in places]
            return score_aggregate(domain, name, chosen, [examples[place] for place in places])

        found[name] = bootstrap_interval(figure, len(examples), confidence, units)
    return found


def grouped(units: Sequence[Hashable]) -> list[list[int]]:
    """Return the places of the items of each unit."""
    places: dict[Hashable, list[int]] = {}
    for place, unit in enumerate(units):
        places.setdefault(unit, []).append(place)
    return list(places.values())


def _percentiles(
    figure: Callable[[Sequence[int]], float], count: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the outer percentiles of a figure over `RESAMPLES` draws; all of 0..1 for one unit."""
    if count < 2:
        return 0.0, 1.0
    generator = random.Random(seed)
    everything = range(count)
    values = sorted(figure(generator.choices(everything, k=count)) for _ in range(RESAMPLES))
    outside = (1.0 - confidence) / 2.0
    return _quantile(values, outside), _quantile(values, 1.0 - outside)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of ordered values, straight between two of them."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
