"""Further seeds of the configuration that confirm is to test.

One seed says "this checkpoint matches"; three or more say "this recipe matches at this size". All
of them are tested together, never the best; the seed by which dev chose the recipe is none of them,
since it was chosen for its score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdsearch.events import TrialFinished, TrialStopped
from kdsearch.search.rules import trial_id
from kdsearch.stats.seeds import SMALLEST_SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import TrialFailed
    from kdsearch.search.rules import Rules


@dataclass
class Recipe:
    """One size's chosen configuration with its fresh seeds."""

    size: str
    index: int
    waiting: list[int]
    """Seeds to hand out."""
    finished: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    out: set[int] = field(default_factory=set)

    def trial(self, seed: int) -> str:
        """Return the id of a seed's trial."""
        return trial_id(self.size, self.index, seed)

    def take(self) -> int | None:
        """Return a seed to train, marked as handed out; None if there is none now."""
        if not self.waiting:
            return None
        seed = self.waiting.pop(0)
        self.out.add(seed)
        return seed

    def end(self, seed: int, *, finished: bool) -> None:
        """Take in that a seed finished or failed."""
        self.out.discard(seed)
        if seed in self.waiting:  # a replay: it was handed out before the run was killed
            self.waiting.remove(seed)
        ended = self.finished if finished else self.failed
        if seed not in ended:
            ended.append(seed)

    def give_back(self, seed: int) -> None:
        """Let an interrupted seed be handed out again."""
        self.out.discard(seed)
        if seed not in self.waiting and seed not in self.finished:
            self.waiting = sorted([*self.waiting, seed])

    @property
    def complete(self) -> bool:
        """Whether every seed has ended."""
        return not self.waiting and not self.out

    @property
    def testable(self) -> bool:
        """Whether every seed finished: those that did not may be the worst ones."""
        return not self.failed and len(self.finished) >= SMALLEST_SEEDS

    @property
    def trials(self) -> tuple[str, ...]:
        """The trials to test."""
        return tuple(self.trial(seed) for seed in sorted(self.finished))


class Replicas:
    """The recipes of a search, and the trials that replicate them.

    A recipe is made when its size awaits confirm; what is known of its seeds by then, from a
    journal that was written under a smaller ladder, is not lost.

    Args:
        sizes: Their names.
        rules: The number of seeds, and the first.
    """

    def __init__(self, sizes: Sequence[str], rules: Rules) -> None:
        self._fresh = rules.fresh_seeds if rules.seeds > 1 else range(0)
        self._recipes: dict[tuple[str, int], Recipe] = {}
        self._seeds = {
            trial_id(size, index, seed): (size, index, seed)
            for seed in self._fresh
            for size in sizes
            for index in range(rules.configurations)
        }

    def __contains__(self, trial: object) -> bool:
        return trial in self._seeds

    def recipe(self, size: str, index: int | None) -> Recipe | None:
        """Return a size's recipe; None where one checkpoint is tested or none passed."""
        return self._recipe(size, index) if self._fresh and index is not None else None

    def end(self, event: TrialFinished | TrialFailed | TrialStopped) -> None:
        """Take in how a replica ended."""
        size, index, seed = self._seeds[event.trial or ""]
        recipe = self._recipe(size, index)
        if isinstance(event, TrialStopped):
            recipe.give_back(seed)
        else:
            recipe.end(seed, finished=isinstance(event, TrialFinished))

    def _recipe(self, size: str, index: int) -> Recipe:
        known = self._recipes.get((size, index))
        if known is None:
            known = Recipe(size, index, list(self._fresh))
            self._recipes[size, index] = known
        return known
