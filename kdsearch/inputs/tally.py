"""Counts what became of the rows of a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kdsearch.inputs.near_duplicates import NearDuplicate

NOTED = 0.01
"""The share of a split from which on items that nearly repeat others are told of."""


class Tally(NamedTuple):
    """What became of the rows of a domain."""

    loaded: int
    deduplicated: int
    """Copies left out that would have been drawn from where the kept one was."""
    leaked: int
    """Copies left out of train, or of dev, of what an official split asks."""
    unused: int
    """Asked for by no split."""
    skipped: int = 0
    """Malformed, and left out because the spec says so."""
    near_duplicates: int = 0
    """Left out of train, or of dev, since confirm or dev asks nearly the same."""
    near_examples: tuple[NearDuplicate, ...] = ()
    """The first of them."""
    dev_repeats: int = 0
    """Items of dev that nearly repeat another of dev that is of another unit."""
    confirm_repeats: int = 0
    """The same of confirm."""

    @property
    def copies(self) -> int:
        """All copies that were left out."""
        return self.deduplicated + self.leaked

    @classmethod
    def total(cls, tallies: Sequence[Tally], near_examples: tuple[NearDuplicate, ...]) -> Tally:
        """Return the counts of several domains together."""
        names = [name for name in cls._fields if name != "near_examples"]
        counts: dict[str, Any] = {name: sum(getattr(t, name) for t in tallies) for name in names}
        return cls(**counts, near_examples=near_examples)

    def to_json(self) -> dict[str, Any]:
        """Return the tally as plans and summaries hold it."""
        return {**self._asdict(), "near_examples": [near._asdict() for near in self.near_examples]}


def repeat_warnings(data: Mapping[str, Any], items: Mapping[str, int | None]) -> Iterable[str]:
    """Say of confirm and dev that their items are not independent.

    Args:
        data: A tally, as `to_json` gives it; of older runs without repeats.
        items: How many items each split has.
    """
    for split in ("confirm", "dev"):
        repeats, count = data.get(f"{split}_repeats", 0), items.get(split) or 0
        if repeats and repeats >= NOTED * count:
            yield (
                f"{repeats:,} of {count:,} {split} items nearly repeat another one: they are not "
                "independent, give them a common unit"
            )
