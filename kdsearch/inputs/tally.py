"""Counts what became of the rows of a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.inputs.near_duplicates import NearDuplicate


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
