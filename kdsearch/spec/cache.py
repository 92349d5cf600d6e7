"""How the teacher's signals reach the trials: the `cache` section of a spec."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""Decimal, as disks are sold."""


MOST_KEPT = 1_000_000
"""Logits a token; no vocabulary has more."""


class CacheMode(StrEnum):
    """When the teacher computes its signals."""

    AUTO = "auto"
    CACHED = "cached"
    ONLINE = "online"


class StateType(StrEnum):
    """The number format of hidden states and other signals of layers."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"

    @property
    def width(self) -> int:
        """Bytes of one number."""
        return 4 if self is StateType.FLOAT32 else 2


def _bytes(value: object) -> object:
    """Read a count of bytes, or a text such as `20GB`."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)\s*", value, re.IGNORECASE)
    if found is None:
        raise ValueError(f"bytes, or a text such as 500MB or 20GB, not '{value}'")
    return round(float(found[1]) * UNITS[found[2].upper()])


class Cache(BaseModel):
    """How the teacher's signals reach the trials."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mode: CacheMode = CacheMode.AUTO
    """`cached`: computed once and stored. `online`: the teacher runs beside each student. `auto`:
    cached, unless the store would be larger than `max_bytes`."""
    top_k: int | None = Field(default=None, gt=0, le=MOST_KEPT)
    """How many of the largest logits are kept, with the mass of the others at each temperature of
    the losses; the whole vocabulary in float32 unless given."""
    states: StateType = StateType.FLOAT32
    """The number format of signals of layers: hidden states and the like. float16 halves them and
    is refused where a state is too large for it."""
    max_bytes: Annotated[int, BeforeValidator(_bytes), Field(gt=0)] = 20 * UNITS["GB"]
    """The largest store under `auto`: bytes, or a text such as 20GB."""
    path: str | None = None
    """A folder of stores that runs share: what one has computed, the next one reads. In the run
    directory unless given."""

    def choose(self, size: int) -> CacheMode:
        """Return the mode for a store that would take so many bytes."""
        if self.mode is not CacheMode.AUTO:
            return self.mode
        return CacheMode.CACHED if size <= self.max_bytes else CacheMode.ONLINE
