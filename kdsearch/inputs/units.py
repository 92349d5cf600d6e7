"""Units: questions that are not independent stay together, in an order that a seed fixes."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdsearch.plugin.api import Example


class Unit(NamedTuple):
    """Examples that stay together, with their place in the order of the seed."""

    rank: bytes
    examples: tuple[Example, ...]


def units_in_order(examples: Iterable[Example], seed: int) -> list[Unit]:
    """Return the units in the order of sha256(seed, unit or id)."""
    members: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: example.id):
        members[unit_name(example)].append(example)
    ranked = [Unit(draw_rank(seed, name), tuple(unit)) for name, unit in members.items()]
    return sorted(ranked, key=rank_of)


def draw_rank(seed: int, unit: str) -> bytes:
    """Return the place of a unit in the order of a seed."""
    return sha256(f"{seed}:{unit}".encode()).digest()


def unit_name(example: Example) -> str:
    """Name an example's unit; one that has none is a unit of its own."""
    return f"id {example.id}" if example.unit is None else f"unit {example.unit}"


def rank_of(unit: Unit) -> bytes:
    """Return a unit's place, to sort by."""
    return unit.rank


def count_items(units: Iterable[Unit]) -> int:
    """Return how many examples units have together."""
    return sum(len(unit.examples) for unit in units)
