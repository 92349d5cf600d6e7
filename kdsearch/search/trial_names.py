"""The trials of a search by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import RunError
from kdsearch.search.rules import Train, trial_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.search.rules import Rules


class TrialNames:
    """Every trial that dev decides by: sizes times configurations, and their baselines.

    Args:
        sizes: Their names, by position.
        rules: The configurations a size, and the seed.
    """

    def __init__(self, sizes: Sequence[str], rules: Rules) -> None:
        self.sizes = sizes
        self.seed = rules.seed
        self._places = {
            trial_id(size, index, rules.seed): (position, index)
            for position, size in enumerate(sizes)
            for index in (None, *range(rules.configurations))
        }

    def place(self, trial: str | None) -> tuple[int, int | None]:
        """Return the position of a trial's size, and its configuration; None of the baseline.

        Raises:
            RunError: If it is no trial of this search.
        """
        if trial not in self._places:
            raise RunError(f"trial '{trial}' is not part of this search")
        return self._places[trial]

    def name(self, position: int, index: int | None) -> str | None:
        """Return the id of a configuration's trial; None of no configuration."""
        return None if index is None else trial_id(self.sizes[position], index, self.seed)

    def job(self, position: int, index: int | None) -> Train:
        """Return the job that trains a configuration, or the baseline."""
        name = self.sizes[position]
        return Train(trial_id(name, index, self.seed), name, index, self.seed)
