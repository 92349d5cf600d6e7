"""Batches that can be taken in smaller parts once a device has run out of memory.

The optimiser steps stay what they were: a part is divided by the counts of the whole window, as a
batch is, and rows keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kdsearch.errors import KdsearchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kdsearch.distill.data import Collator

    Batch = dict[str, Any]

HELD = "held"
"""The key of a batch's own rows."""

COSTLY = ("signals", "options", "views")
"""What a batch need not have where its parts have it."""


class NoMemoryError(KdsearchError):
    """A device has too little memory for one example."""


@dataclass(frozen=True)
class Held:
    """Rows of a batch, closed to what moves batches to a device."""

    rows: Sequence[Mapping[str, Any]]


class Divisible:
    """Collates rows to batches, and batches to parts of at most `size` rows.

    Args:
        collate: Makes a batch of rows.
        size: Rows of a batch.
    """

    def __init__(self, collate: Collator, size: int) -> None:
        self.collate = collate
        self.size = size
        self.divided = False
        """Whether the parts are smaller than the batches."""

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return a batch with its rows; without signals, if its parts will have them."""
        batch = self.bare(rows) if self.divided else self.collate(rows)
        return {**batch, HELD: Held(rows)}

    def bare(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return a batch without signals."""
        return replace(self.collate, signals=None)(rows)

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield a batch in its parts, each collated when its turn comes."""
        if not self.divided:
            yield {name: value for name, value in batch.items() if name != HELD}
            return
        rows = batch[HELD].rows
        for start in range(0, len(rows), self.size):
            part = self.collate(rows[start : start + self.size])
            yield {**part, "window_counts": batch["window_counts"]}

    def resize(self, size: int) -> None:
        """Take parts of at most so many rows."""
        self.divided = self.divided or size < self.size
        self.size = size

    def halve(self, step: int, window: Sequence[Batch]) -> str:
        """Make parts half as large, and free what the batches of a window need no more.

        Args:
            step: The optimiser step that ran out of memory.
            window: Its batches.

        Returns:
            What was done, for the user.

        Raises:
            NoMemoryError: If a part is one row already.
        """
        if self.size == 1:
            raise NoMemoryError(
                f"out of memory at step {step} with one example at a time",
                fix="set train.gradient_checkpointing: true or train.precision: bf16, lower "
                "prompt.max_tokens, or leave out the largest sizes",
            )
        before = self.size
        self.resize((self.size + 1) // 2)
        for batch in window:
            for name in COSTLY:
                batch.pop(name, None)
        passes = sum(-(-len(batch[HELD].rows) // self.size) for batch in window)
        return (
            f"out of memory at step {step}: goes on with {self.size} examples at a time "
            f"instead of {before}, {passes} passes before an optimiser step"
        )
