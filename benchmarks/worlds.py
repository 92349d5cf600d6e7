"""Synthetic ladders of students: what each trial would report, and what is true of it.

Every trial of every size and configuration has its answers drawn beforehand, so that different
strategies see the same items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TEACHER = 0.9
"""The teacher's score; only differences from it matter."""

RISE, RATE = 0.3, 5.0
"""A student starts this far below its end and approaches it at this rate a training."""

REPORTS = tuple(step / 10 for step in range(1, 10))
"""Shares of the training at which dev is answered on the way."""

SHARED = 0.5
"""Correlation of the sampling error of a report with that at the end: they share items."""


class Counts(NamedTuple):
    """Items that only the student, and only the teacher, has right."""

    student_only: int
    teacher_only: int


@dataclass(frozen=True)
class Setting:
    """What all worlds of a simulation have in common."""

    sizes: int = 7
    growth: float = 1.6
    configurations: int = 6
    dev: int = 2000
    confirm: int = 4000
    margin: float = 0.02
    disagreement: float = 0.08
    """Share of items on which a student equal to its teacher differs from it."""
    slope: float | None = 0.03
    """Points lost a size below the plateau; None for every size exactly at the margin."""
    deficit: float = 0.008
    """Deviation of what a configuration loses, its sign dropped."""
    seed_noise: float = 0.005
    hole: float = 0.0
    """Points that the sizes above the plateau's start lose again, each as much as it is larger."""


@dataclass(frozen=True)
class Trial:
    """One trial's fate."""

    difference: float
    """True difference from the teacher, of this very checkpoint."""
    dev: Counts
    confirm: Counts
    reports: tuple[Counts, ...]


class Found(NamedTuple):
    """What one search came to."""

    size: int | None
    """Position of the size declared to match."""
    false_match: bool
    opened: bool
    """Whether confirm was opened."""
    share: float
    """Of the exhaustive grid's FLOPs."""


class World:
    """One ladder with all its trials.

    Args:
        setting: What it has in common with others.
        seed: Fixes everything drawn.
    """

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.generator = generator = np.random.default_rng(seed)
        self.truth = _ladder(setting, generator)
        shape = (setting.sizes, setting.configurations)
        loss = np.abs(generator.normal(0.0, 1.0, shape)) * setting.deficit
        noise = generator.normal(0.0, 1.0, shape) * setting.seed_noise
        differences = np.minimum(np.array(self.truth)[:, None] - loss + noise, 1.0 - TEACHER)
        least = setting.disagreement
        dev = _counts(generator, differences, least, setting.dev)
        confirm = _counts(generator, differences, least, setting.confirm)
        reports = _reports(generator, differences, least, dev, setting.dev)
        self.trials = [
            [
                Trial(
                    float(differences[size, index]),
                    Counts(*dev[size, index].tolist()),
                    Counts(*confirm[size, index].tolist()),
                    tuple(Counts(*pair) for pair in reports[size, index].tolist()),
                )
                for index in range(setting.configurations)
            ]
            for size in range(setting.sizes)
        ]

    @property
    def smallest(self) -> int:
        """The smallest size that truly matches, or the number of sizes if there is none."""
        margin = self.setting.margin
        matching = (place for place, value in enumerate(self.truth) if value > -margin)
        return next(matching, self.setting.sizes)

    @property
    def grid_flops(self) -> float:
        """Every configuration and a baseline at every size, the smallest trial costing 1."""
        trials = self.setting.configurations + 1
        return trials * sum(self.setting.growth**size for size in range(self.setting.sizes))

    def more(self, size: int, index: int, items: int) -> Counts:
        """Draw a trial's answers to items that are added to confirm."""
        setting, difference = self.setting, np.array(self.trials[size][index].difference)
        return Counts(*_counts(self.generator, difference, setting.disagreement, items).tolist())

    def matches(self, size: int, index: int) -> bool:
        """Whether a trial's checkpoint truly matches."""
        return self.trials[size][index].difference > -self.setting.margin + 1e-12


def _ladder(setting: Setting, generator: np.random.Generator) -> list[float]:
    """Draw the true difference of each size at its best configuration."""
    if setting.slope is None:
        return [-setting.margin] * setting.sizes
    plateau = generator.uniform(0.0, setting.sizes)
    return [
        -setting.slope * max(0.0, plateau - place) - setting.hole * max(0.0, place - plateau - 1.0)
        for place in range(setting.sizes)
    ]


def disagreement(differences: Array, least: float) -> Array:
    """Return the share of discordant items of students that differ so much."""
    share: Array = np.maximum(least, np.abs(differences) + 0.01)
    return share


def _counts(generator: np.random.Generator, differences: Array, least: float, items: int) -> Array:
    """Draw discordant items: (sizes, configurations, 2)."""
    share = disagreement(differences, least)
    discordant = generator.binomial(items, share)
    student_only = generator.binomial(discordant, 0.5 * (1.0 + differences / share))
    return np.stack([student_only, discordant - student_only], axis=-1)


def _reports(
    generator: np.random.Generator, differences: Array, least: float, dev: Array, items: int
) -> Array:
    """Draw what trials report on their way: (sizes, configurations, reports, 2)."""
    times = np.array(REPORTS)
    true = differences[..., None] - RISE * np.exp(-RATE * times)
    share = disagreement(true, least)
    error = (dev[..., 0] - dev[..., 1]) / items - differences
    own = generator.normal(0.0, 1.0, true.shape) * np.sqrt(share / items)
    seen = true + math.sqrt(SHARED) * error[..., None] + math.sqrt(1.0 - SHARED) * own
    share = np.maximum(share, np.abs(seen))
    student_only = np.rint(0.5 * (share + seen) * items).astype(int)
    teacher_only = np.rint(0.5 * (share - seen) * items).astype(int)
    return np.stack([student_only, teacher_only], axis=-1)
