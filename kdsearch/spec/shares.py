"""How a spec divides a domain's examples; `kdsearch.splits` does it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from kdsearch.spec.base import Strict

MOST_ITEMS = 1_000_000_000
ROUNDING = 1e-9
"""What shares such as 0.7 + 0.2 + 0.1 are off by."""


def _split_size(size: str | float | int) -> str | float | int:
    if isinstance(size, str):
        if size != "rest" and not (size.startswith("official:") and size != "official:"):
            raise ValueError(f"a count, a share below 1, 'official:NAME' or 'rest', not '{size}'")
    elif not (1 <= size <= MOST_ITEMS if isinstance(size, int) else 0 < size < 1):
        counts = f"a whole count from 1 to {MOST_ITEMS:,}"
        raise ValueError(f"{counts} or a share between 0 and 1, not {size}")
    return size


SplitSize = Annotated[str | float | int, AfterValidator(_split_size)]


class Splits(Strict):
    """Which examples fit, steer and decide.

    A whole number is a count of items, a number below 1 a share of those not yet taken by an
    official split, `official:NAME` an official split, `rest` what the others leave.
    """

    train: SplitSize = "rest"
    dev: SplitSize = 0.15
    confirm: SplitSize = 0.3
    reserve: int | float = Field(default=0, ge=0, le=MOST_ITEMS)
    """Items, or a share below 1, kept out of all splits: `kdsearch confirm RUN --more` adds them
    to confirm where that does not decide."""
    near_duplicates: Literal["auto", "keep", "drop"] = "auto"
    """Whether train and dev drop what confirm, and train what dev, asks in nearly the same words;
    under `auto` unless the domain's questions are made from templates."""

    @field_validator("reserve")
    @classmethod
    def _count_or_share(cls, reserve: int | float) -> int | float:
        if isinstance(reserve, float) and reserve >= 1.0:
            raise ValueError(f"a whole count or a share below 1, not {reserve}")
        return reserve

    @model_validator(mode="after")
    def _reserve_like_confirm(self) -> Splits:
        if self.reserve and isinstance(self.confirm, str):
            raise ValueError(
                f"reserve is drawn as confirm is, and confirm is '{self.confirm}': give confirm a "
                "count or a share, or add items from other data"
            )
        return self

    @model_validator(mode="after")
    def _at_most_all(self) -> Splits:
        """Refuse shares that take more than there is, or leave a split nothing."""
        sizes = {name: getattr(self, name) for name in ("train", "dev", "confirm", "reserve")}
        shares = {name: size for name, size in sizes.items() if isinstance(size, float) and size}
        total = math.fsum(shares.values())
        listed = " + ".join(f"{name} {size:g}" for name, size in shares.items())
        if total > 1.0 + ROUNDING:
            raise ValueError(f"{listed} = {total:g} of the examples: shares add up to 1 at most")
        if total > 1.0 - ROUNDING and "train" not in shares:
            raise ValueError(f"{listed} = {total:g} of the examples: nothing is left for train")
        return self

    @model_validator(mode="after")
    def _disjoint(self) -> Splits:
        named = [size for size in (self.train, self.dev, self.confirm) if isinstance(size, str)]
        for size in named:
            if named.count(size) > 1:
                raise ValueError(f"'{size}' can be one split only")
        return self
