"""Auxiliary terms scaled to the size of the answer's cross-entropy, so that no weight is tuned."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed as distributed
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REFERENCE = "answer_ce"
"""The term that others are scaled to."""


class Balance(nn.Module):
    """The factors L_ce / L_term, both without gradient, of terms that ask to be balanced.

    A micro-batch does not know the whole of its accumulation window. The losses are therefore
    those of the step before, summed over its window: the factors of a step are the same for all of
    its micro-batches and however it is split. Before the first step, its window is run through
    without gradient. The sums are buffers, so that a checkpoint has them.

    Args:
        names: The terms to balance.
    """

    before: Tensor
    """(1 + names,): the losses of the step before, the reference first."""
    under_way: Tensor
    """(1 + names,): those of this step, as far as it is."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.step = -1
        for buffer in ("before", "under_way"):
            self.register_buffer(buffer, torch.zeros(1 + len(self.names)))

    @property
    def unknown(self) -> bool:
        """Whether no step has been seen yet."""
        return bool(self.names) and self.step < 0 and not bool(self.under_way.any())

    def factors(self, step: int) -> dict[str, Tensor]:
        """Return the factor of each term at a step; 1 where a loss is 0."""
        if step != self.step:
            self._turn_to(step)
        ratios = self.before[0] / self.before[1:].abs()
        usable = torch.where(ratios.isfinite() & (ratios > 0.0), ratios, 1.0)
        return dict(zip(self.names, usable, strict=True))

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the losses of a micro-batch."""
        if self.names:
            self.under_way += torch.stack(
                [terms[name].detach() for name in (REFERENCE, *self.names)]
            )

    def restart(self, step: int) -> None:
        """Forget the micro-batches of a step that begins again."""
        if step == self.step:  # else the sums are still those of the step before
            self.under_way.zero_()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let passes go by that belong to no step."""
        step, before, under_way = self.step, self.before.clone(), self.under_way.clone()
        try:
            yield
        finally:
            self.step = step
            self.before.copy_(before)
            self.under_way.copy_(under_way)

    def _turn_to(self, step: int) -> None:
        """Close the window before this step; every device has seen a part of it."""
        self.before.copy_(self.under_way)
        if self.names and distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self.before)
        self.under_way.zero_()
        self.step = step
