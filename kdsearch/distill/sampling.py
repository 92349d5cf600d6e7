"""The order in which a training goes through its examples.

It is a function of seed and epoch alone, so that a training that is resumed goes on in it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class EpochSampler(Sampler[int]):
    """Base of orders that are drawn anew each epoch.

    Args:
        seed: Of all draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.epoch = 0
        self._drawn = 0
        self._generator = torch.Generator().manual_seed(seed)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the data loader does so before it begins one."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Draw the epochs up to the chosen one, and go through that."""
        if self.epoch < self._drawn:
            self._drawn, self._generator = 0, torch.Generator().manual_seed(self.seed)
        order: list[int] = []
        while self._drawn <= self.epoch:
            order = self.draw(self._generator)
            self._drawn += 1
        return iter(order)

    @abstractmethod
    def draw(self, generator: torch.Generator) -> list[int]:
        """Return the rows of the next epoch."""


class GroupSampler(EpochSampler):
    """Draws every group equally often, with replacement.

    Args:
        groups: The group of each row.
        seed: Of all draws.
    """

    def __init__(self, groups: Sequence[str | None], seed: int) -> None:
        super().__init__(seed)
        counts = Counter(groups)
        weights = [1.0 / counts[group] for group in groups]
        self.weights = torch.tensor(weights, dtype=torch.double)

    def __len__(self) -> int:
        return len(self.weights)

    def draw(self, generator: torch.Generator) -> list[int]:
        """Return as many rows as there are."""
        rows = torch.multinomial(self.weights, len(self), replacement=True, generator=generator)
        return [int(row) for row in rows]


class LengthSampler(EpochSampler):
    """Puts rows of about one length side by side: random stretches, sorted by length.

    Args:
        lengths: Tokens of each row.
        window: Rows of one optimiser step.
        seed: Of all draws.
    """

    def __init__(self, lengths: Sequence[int], window: int, seed: int) -> None:
        super().__init__(seed)
        self.lengths = list(lengths)
        self.window = window

    def __len__(self) -> int:
        return len(self.lengths)

    def draw(self, generator: torch.Generator) -> list[int]:
        """Return every row once."""
        return list(get_length_grouped_indices(self.lengths, self.window, generator=generator))
