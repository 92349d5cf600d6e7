"""What the engine itself reads of a loss term: how much it counts, and when.

A term's other keys are options of the loss plugin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from kdsearch.spec.base import Open, Strict
from kdsearch.spec.space import Configuration, Space, parse_space

NonNegative = Annotated[float, Field(ge=0.0)]


class WeightSchedule(Strict):
    """A weight that changes while a student trains, then stays."""

    model_config = ConfigDict(serialize_by_alias=True)

    start: NonNegative | Space = Field(alias="from")
    """At the first step."""
    to: NonNegative | Space
    """In the end."""
    over: float = Field(default=1.0, gt=0.0, le=1.0)
    """The share of the steps over which it changes."""
    shape: Literal["linear", "cosine"] = "linear"
    """In equal steps, or slowly at both ends."""


class FixedWeight(Strict):
    """A weight that is neither searched nor changed."""

    weight: NonNegative


class LossTerm(Open):
    """A term's weight; its other keys are the loss plugin's own."""

    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(parse_space)]] = Field(init=False)

    weight: NonNegative | Space | WeightSchedule = 1.0
    """How much it counts: a number, or `{from, to, over, shape}` to change it in training."""
    balance: Literal["none", "auto"] = "none"
    """Under `auto`, the term is scaled to the size of `answer_ce` before it is weighted."""

    @property
    def written(self) -> dict[str, Any]:
        """All keys as a trial's settings hold them; `balance` only where it is asked for."""
        weight: Any = self.weight
        if isinstance(weight, WeightSchedule):
            weight = {
                str(field.alias or key): getattr(weight, key)
                for key, field in WeightSchedule.model_fields.items()
            }
        balance = {} if self.balance == "none" else {"balance": self.balance}
        return {"weight": weight, **balance, **self.rest}

    @property
    def spaces(self) -> Iterator[tuple[str, Space]]:
        """The searched values by path within the term, such as `weight.from`."""
        for path, value in _leaves(self.written):
            if isinstance(value, Space):
                yield path, value

    def fixed(self, configuration: Configuration, prefix: str) -> dict[str, Any]:
        """Return all keys with every searched value fixed.

        Args:
            configuration: Values by path.
            prefix: The path of the term, such as `losses.soft_labels`.

        Raises:
            KeyError: If the configuration misses a searched value.
        """
        written = self.written
        for path, _ in self.spaces:
            *outer, key = path.split(".")
            holder = written[outer[0]] if outer else written
            holder[key] = configuration[f"{prefix}.{path}"]
        return written


def _leaves(written: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a term's values by path; those of a weight schedule are a level deeper."""
    for key, value in written.items():
        if key == "weight" and isinstance(value, Mapping):
            yield from ((f"weight.{part}", inner) for part, inner in value.items())
        else:
            yield key, value


def options_of(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss plugin's own part of a term."""
    return {key: value for key, value in written.items() if key not in LossTerm.model_fields}


def weight_at(weight: float | Mapping[str, Any], progress: float) -> float:
    """Return what a term weighs.

    Args:
        weight: As settings hold it: a number, or the keys of a `WeightSchedule`.
        progress: The share of the steps that is done, from 0 at the first.
    """
    if not isinstance(weight, Mapping):
        return weight
    start, end = float(weight["from"]), float(weight["to"])
    done = min(1.0, progress / float(weight["over"]))
    if weight["shape"] == "cosine":
        done = (1.0 - math.cos(math.pi * done)) / 2.0
    return start + done * (end - start)


def counts(weight: float | Mapping[str, Any]) -> bool:
    """Whether a term weighs anything at any step."""
    return any(weight_at(weight, progress) > 0.0 for progress in (0.0, 1.0))
