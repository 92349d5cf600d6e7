"""Search spaces: values that the search chooses, and the configurations drawn from them.

A configuration is a mapping from the path of a searched value, such as `train.learning_rate`, to
the value drawn. Configuration `index` depends on the seed and the index alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import count, product
from random import Random
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Configuration = Mapping[str, Any]


class _Space(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Choice(_Space):
    """One of several values, each as likely."""

    choice: tuple[Any, ...] = Field(min_length=1)

    def draw(self, random: Random) -> Any:
        """Draw a value."""
        return self.choice[random.randrange(len(self.choice))]

    def at(self, share: float) -> Any:
        """Return the value below which a share of the space lies, 0 included and 1 not."""
        return self.choice[int(share * len(self.choice))]

    @property
    def edges(self) -> tuple[Any, ...]:
        """Values whose validity stands for that of all."""
        return self.choice


class Grid(_Space):
    """Every value in turn, in all combinations with the other grids."""

    grid: tuple[Any, ...] = Field(min_length=1)

    @property
    def edges(self) -> tuple[Any, ...]:
        """Values whose validity stands for that of all."""
        return self.grid


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if not (math.isfinite(bounds[0]) and math.isfinite(bounds[1]) and bounds[0] < bounds[1]):
        raise ValueError(f"needs [low, high] with low < high, not {list(bounds)}")
    return bounds


def _positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] <= 0:
        raise ValueError(f"needs a low bound above 0, not {bounds[0]}")
    return bounds


Bounds = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Uniform(_Space):
    """Any number between two bounds, each as likely."""

    uniform: Bounds

    def draw(self, random: Random) -> float:
        """Draw a value."""
        return random.uniform(*self.uniform)

    def at(self, share: float) -> float:
        """Return the value below which a share of the space lies, 0 included and 1 not."""
        low, high = self.uniform
        return min(high, low + share * (high - low))

    @property
    def edges(self) -> tuple[float, ...]:
        """Values whose validity stands for that of all."""
        return self.uniform


class LogUniform(_Space):
    """Any number between two positive bounds, each order of magnitude as likely."""

    loguniform: Annotated[Bounds, AfterValidator(_positive)]

    def draw(self, random: Random) -> float:
        """Draw a value."""
        return self.at(random.random())

    def at(self, share: float) -> float:
        """Return the value below which a share of the space lies, 0 included and 1 not."""
        low, high = self.loguniform
        start, end = math.log(low), math.log(high)
        return min(high, max(low, math.exp(start + share * (end - start))))

    @property
    def edges(self) -> tuple[float, ...]:
        """Values whose validity stands for that of all."""
        return self.loguniform


Space = Choice | Grid | Uniform | LogUniform

SPACES: Mapping[str, type[Space]] = {
    "choice": Choice,
    "grid": Grid,
    "uniform": Uniform,
    "loguniform": LogUniform,
}
"""The forms by the key that a spec writes them with."""


def is_space(value: Any) -> bool:
    """Whether a raw value of a spec has the form of a space: one key, and it names one."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in SPACES


def parse_space(value: Any) -> Any:
    """Return the space that a raw value writes, or the value as it is."""
    return SPACES[next(iter(value))].model_validate(value) if is_space(value) else value


class Sampler(StrEnum):
    """How values that are no grid are drawn."""

    RANDOM = "random"
    QUASI_RANDOM = "quasi_random"
    """Spread evenly over the space from the first configuration on."""
    GRID = "grid"
    """Every combination of the choices in turn; intervals have none."""
    TPE = "tpe"
    """Suggested by Optuna from what ended at the same size, one by one (extra `optuna`)."""


def draw(
    spaces: Mapping[str, Space], index: int, seed: int, sampler: Sampler = Sampler.RANDOM
) -> Configuration:
    """Draw configuration `index`.

    Grids are walked in mixed-radix order by the index, and so are choices where the sampler is
    `grid`. Random values are each drawn from a stream
    of their own, so that adding a searched value leaves the others as they were. Quasi-random ones
    are points of a Halton sequence (1960), each dimension shifted at random; a value added after
    the others leaves them as they were. What `tpe` begins with is random.

    Raises:
        ValueError: If a value to be walked lies in an interval.
    """
    walked = (Grid, Choice) if sampler is Sampler.GRID else Grid
    grids = {path: space.edges for path, space in spaces.items() if isinstance(space, walked)}
    combination: Sequence[Any] = ()
    if grids:
        combinations = list(product(*grids.values()))
        combination = combinations[index % len(combinations)]
    values = dict(zip(grids, combination, strict=True))
    primes = _primes()
    for path, space in spaces.items():
        if path in grids:
            continue
        if isinstance(space, Grid) or sampler is Sampler.GRID:
            raise ValueError(f"{path} is an interval, and a grid walks values")
        if sampler in (Sampler.RANDOM, Sampler.TPE):
            values[path] = space.draw(Random(f"{seed}:{path}:{index}"))
        else:
            shift = Random(f"{seed}:{path}").random()
            values[path] = space.at((radical_inverse(index, next(primes)) + shift) % 1.0)
    return {path: values[path] for path in spaces}


def radical_inverse(index: int, base: int) -> float:
    """Mirror an index's digits at the point: 0, 1/2, 1/4, 3/4, 1/8 in base 2."""
    value, place = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * place
        place /= base
    return value


def _primes() -> Iterator[int]:
    """Yield the primes, one base for each dimension."""
    found: list[int] = []
    for number in count(2):
        if all(number % prime for prime in found):
            found.append(number)
            yield number


def hint(error: ValidationError, spaces: Mapping[str, Space]) -> str:
    """Say why the whole number at the end of an interval is none."""
    for detail in error.errors(include_url=False):
        space = spaces.get(str(detail["loc"][0])) if detail["loc"] else None
        if detail["type"] == "int_type" and isinstance(space, Uniform | LogUniform):
            return " (an interval draws fractions: use choice)"
    return ""
