"""What people do today, on the same worlds: point scores on the items that chose the student.

Each returns the student it would declare to match, and its share of the exhaustive grid (which
counts a baseline a size, as none of these trains).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.worlds import REPORTS, TEACHER, Found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.worlds import Counts, Trial, World

ETA = 3
"""Reduction factor of successive halving."""

PENALTY = 0.01
"""Score that a doubling of the size must bring: a point, a usual choice."""

BUDGET = 20
"""Trials of the penalised search, as many as half of the grid."""


class Place(NamedTuple):
    """A trial's place in its world."""

    size: int
    configuration: int


def full_grid(world: World) -> Found:
    """Train everything; take the smallest size whose best score is at least teacher - margin."""
    setting = world.setting
    places = [
        Place(size, index)
        for size in range(setting.sizes)
        for index in range(setting.configurations)
    ]
    return _smallest_above(world, places, sum(_flops(world, place) for place in places))


def mixed_halving(world: World) -> Found:
    """Halve all sizes together at 10 %, 30 % and 90 % of the training, then as the grid does.

    Synchronous, which is kinder than ASHA (Li et al. 2020): no early promotion by chance.
    """
    setting = world.setting
    alive = [
        Place(size, index)
        for size in range(setting.sizes)
        for index in range(setting.configurations)
    ]
    spent, done = 0.0, 0.0
    for report in (0, 2, 8):
        share = REPORTS[report]
        spent += sum(_flops(world, place) for place in alive) * (share - done)
        done = share
        alive.sort(key=lambda place: -_score(world, _trial(world, place).reports[report]))
        alive = alive[: math.ceil(len(alive) / ETA)]
    spent += sum(_flops(world, place) for place in alive) * (1.0 - done)
    return _smallest_above(world, alive, spent)


def penalised_score(world: World) -> Found:
    """Maximise score minus a penalty on size over random trials, as with an Optuna objective."""
    setting = world.setting
    count = setting.sizes * setting.configurations
    drawn = world.generator.permutation(count)[:BUDGET].tolist()
    places = [Place(*divmod(place, setting.configurations)) for place in drawn]
    spent = sum(_flops(world, place) for place in places)

    def objective(place: Place) -> float:
        doublings = place.size * math.log2(setting.growth)
        return _score(world, _trial(world, place).dev) - PENALTY * doublings

    best = max(places, key=objective)
    return _smallest_above(world, [best], spent)


def _smallest_above(world: World, places: Iterable[Place], flops: float) -> Found:
    """Declare the smallest trained size at or above teacher - margin, by its best score on dev."""
    share = flops / world.grid_flops
    best: dict[int, Place] = {}
    for place in places:
        held = best.get(place.size)
        if held is None or _dev(world, place) > _dev(world, held):
            best[place.size] = place
    for _, place in sorted(best.items()):
        if _dev(world, place) >= TEACHER - world.setting.margin:
            false = not world.matches(place.size, place.configuration)
            return Found(place.size, false, True, share)
    return Found(None, False, True, share)


def _dev(world: World, place: Place) -> float:
    return _score(world, _trial(world, place).dev)


def _trial(world: World, place: Place) -> Trial:
    return world.trials[place.size][place.configuration]


def _score(world: World, counts: Counts) -> float:
    return TEACHER + (counts.student_only - counts.teacher_only) / world.setting.dev


def _flops(world: World, place: Place) -> float:
    return world.setting.growth**place.size
