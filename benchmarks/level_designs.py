"""The designs of `benchmarks.level`: how answers come about, and what the search may do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.margin_worlds import MARGIN, Design, Graded, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.margin_worlds import Differences

ONE_SIDED = Pairs(loss=0.02, gain=0.0)
TWO_SIDED = Pairs(loss=0.05, gain=0.03)
MUCH = Pairs(loss=0.09, gain=0.07)
ALIKE = replace(MUCH, shared=0.8**0.5)
"""Two students' luck is the same on 80 % of the items."""

SEEDS = Pairs(loss=0.07, gain=0.05, shared=0.8)

SPREADS = (0.0, 0.003, 0.006, 0.012, 0.03)


def total_losses(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose 2 % of the items whole."""
    return -(generator.random(len(sizes)) < MARGIN).astype(float)


def partial_losses(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose any part of 4 % of the items."""
    lost = generator.random(len(sizes)) < 2.0 * MARGIN
    return -np.where(lost, generator.integers(0, 101, len(sizes)) / 100.0, 0.0)


def small_gains(generator: np.random.Generator, sizes: Any) -> Any:
    """Gain a little on most items, and lose 5 % of them whole."""
    return np.where(generator.random(len(sizes)) < 0.05, -1.0, (0.05 - MARGIN) / 0.95)


def symmetric(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose as much as gain, but for the margin."""
    return np.clip(generator.normal(0.0, 0.2, len(sizes)), -0.5, 0.5).round(2) - MARGIN


def lost_units(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose 2 % of the units whole."""
    return np.repeat(generator.random(len(sizes)) < MARGIN, sizes) * -1.0


def lost_items(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose one item of some units, so that 2 % of a unit is lost on average."""
    lost = generator.random(len(sizes)) < MARGIN * sizes
    first = np.cumsum(sizes) - sizes
    found = np.zeros(int(sizes.sum()))
    found[first[lost]] = -1.0
    return found


def torn_units(generator: np.random.Generator, sizes: Any) -> Any:
    """Lose half the items of one unit in ten, and gain half those of three in fifty."""
    kind = np.repeat(generator.random(len(sizes)), sizes)
    half = generator.random(len(kind)) < 0.5
    return np.where(kind < 0.10, -1.0, np.where(kind > 0.94, 1.0, 0.0)) * half


GRADED: dict[str, Differences] = {
    "rare total losses": total_losses,
    "partial losses": partial_losses,
    "small gains, rare losses": small_gains,
    "symmetric": symmetric,
}

UNITS: dict[str, tuple[Differences, tuple[int, ...]]] = {
    "2 items, whole ones lost": (lost_units, (2,)),
    "2 items, one-sided": (lost_items, (2,)),
    "2 items, two-sided": (torn_units, (2,)),
    "4 items, one-sided": (lost_items, (4,)),
    "4 items, two-sided": (torn_units, (4,)),
    "1 to 8 items, one-sided": (lost_items, (1, 2, 3, 5, 8)),
    "1 to 8 items, two-sided": (torn_units, (1, 2, 3, 5, 8)),
}

MANY = (
    "2 items, whole ones lost",
    "2 items, two-sided",
    "4 items, one-sided",
    "1 to 8 items, two-sided",
)
"""Kinds of units that are simulated by the thousand too."""


def _one_look() -> Iterator[Design]:
    """Yield tests of one size at the whole of alpha."""
    for items in (100, 300, 1000):
        for kind, draw in {"one-sided": ONE_SIDED, "two-sided": TWO_SIDED}.items():
            yield Design(name=f"right or wrong, {kind}, {items}", draw=draw, items=items)
    for items in (100, 300, 1000):
        sparse = Pairs(loss=0.018, gain=0.0, right=0.9)
        one, two = Pairs(loss=0.04, gain=0.0), Pairs(loss=0.1, gain=0.06)
        yield Design(name=f"retain 98%, one-sided, {items}", draw=sparse, items=items, retain=0.98)
        yield Design(name=f"retain 95%, one-sided, {items}", draw=one, items=items, retain=0.95)
        yield Design(name=f"retain 95%, two-sided, {items}", draw=two, items=items, retain=0.95)
    for items in (100, 300, 1000):
        for kind, draws in GRADED.items():
            yield Design(name=f"graded, {kind}, {items}", draw=Graded(draws), items=items)
    for items in (100, 300, 1000):
        for kind, (draws, sizes) in UNITS.items():
            if items < 1000 or kind in MANY:
                name = f"units, {kind}, {items}"
                yield Design(name=name, draw=Graded(draws, sizes), items=items)


def _seeds() -> Iterator[Design]:
    """Yield recipes: the best of six on dev, each seed's luck being its own."""
    chosen = {"configurations": 6, "dev": "drawn"}
    for seeds in (3, 5):
        for spread in SPREADS:
            name = f"{seeds} seeds, {100 * spread:.1f} points apart, 500"
            yield Design(name=name, draw=SEEDS, items=500, seeds=seeds, spread=spread, **chosen)  # type: ignore[arg-type]  # plain keyword values
        one = replace(ONE_SIDED, shared=0.8)
        yield Design(name=f"{seeds} seeds, one-sided, 300", draw=one, items=300, seeds=seeds)
    yield Design(
        name="3 seeds, 3 sizes, 0.6 points apart, 300",
        draw=SEEDS, items=300, seeds=3, spread=0.006, sizes=3,
    )  # fmt: skip


def _ladders() -> Iterator[Design]:
    """Yield searches that may test several sizes."""
    for items in (100, 300):
        for kind, draw in {"one-sided": ONE_SIDED, "two-sided": TWO_SIDED}.items():
            name = f"7 sizes, {kind}, {items}"
            yield Design(name=name, draw=draw, items=items, sizes=7)
    for items in (300, 1000):
        yield Design(name=f"7 sizes, alike, {items}", draw=ALIKE, items=items, sizes=7)
    yield Design(name="7 sizes, dev by a coin, 300", draw=MUCH, items=300, sizes=7, dev="halves")
    yield Design(
        name="7 sizes, best of 6 on dev, 1000",
        draw=MUCH, items=1000, sizes=7, configurations=6, dev="drawn",
    )  # fmt: skip
    yield Design(name="7 sizes, units of 4, 300", draw=Graded(torn_units, (4,)), items=300, sizes=7)
    for sizes in (1, 3):
        yield Design(
            name=f"3 domains, {sizes} sizes, 300 each",
            draw=TWO_SIDED, items=300, sizes=sizes, domains=3,
        )  # fmt: skip
    probing = {"sizes": 7, "dev": "gap", "probe_below": True, "former": False}
    yield Design(name="probe_below, 1000", draw=MUCH, items=1000, **probing)  # type: ignore[arg-type]  # plain keyword values
    equal = frozenset({4, 5, 6})
    yield Design(
        name="probe_below, below a true match, 1000",
        draw=TWO_SIDED, items=1000, equal=equal, **probing,  # type: ignore[arg-type]  # plain keyword values
    )  # fmt: skip


def _looks() -> Iterator[Design]:
    """Yield searches that look again with items added."""
    for looks, reserve in ((2, 0.1), (3, 0.3), (6, 0.1), (6, 0.3)):
        name = f"--more x {looks - 1}, reserve {reserve}, 200 each"
        yield Design(name=name, draw=MUCH, items=200, looks=looks, reserve=reserve)
    yield Design(
        name="--more x 1, one-sided, reserve 0.3, 300 each",
        draw=ONE_SIDED, items=300, looks=2, reserve=0.3,
    )  # fmt: skip
    yield Design(
        name="--more x 2, 7 sizes alike, reserve 0.3, 200 each",
        draw=ALIKE, items=200, sizes=7, looks=3, reserve=0.3,
    )  # fmt: skip
    for kind, draws, sizes in (("graded", small_gains, ()), ("units of 4", torn_units, (4,))):
        yield Design(
            name=f"--more x 2, {kind}, reserve 0.3, 300 each",
            draw=Graded(draws, sizes), items=300, looks=3, reserve=0.3,
        )  # fmt: skip
    yield Design(
        name="--more x 2, 3 domains, reserve 0.3, 200 each",
        draw=TWO_SIDED, items=200, domains=3, looks=3, reserve=0.3,
    )  # fmt: skip


def _runs() -> Iterator[Design]:
    """Yield runs with other students on the same items."""
    for runs in (2, 5):
        yield Design(
            name=f"{runs} runs on the same items, 300",
            draw=MUCH, items=300, runs=runs, reserve=0.1,
        )  # fmt: skip
    yield Design(
        name="5 runs, 3 sizes, reserve 0.3, 300",
        draw=MUCH, items=300, sizes=3, runs=5, reserve=0.3,
    )  # fmt: skip
    yield Design(
        name="5 runs, true matches between, 500",
        draw=TWO_SIDED, items=500, runs=5, true_runs=frozenset({0, 2, 4}), reserve=0.1,
    )  # fmt: skip
    yield Design(
        name="5 runs, each on half of 600 items",
        draw=MUCH, items=600, runs=5, drawn=0.5, reserve=0.1,
    )  # fmt: skip


DESIGNS = (*_one_look(), *_seeds(), *_ladders(), *_looks(), *_runs())
"""In the order of the table."""
