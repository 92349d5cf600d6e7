"""Ladders that need the teacher at work before they can build a student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Size, Student


@dataclass(frozen=True)
class Preparation:
    """What a ladder may learn from once a run, when the teacher is ready to teach."""

    model: Any
    tokenizer: Any
    sources: Sequence[Sequence[int]]
    """By training example: the prompt's token ids."""
    targets: Sequence[Sequence[int]]
    """By training example: the answer's token ids."""
    texts: Sequence[str]
    """The training texts, if the ladder's options read them."""
    folder: Path
    """Where to write what `build` needs."""
    progress: Callable[[int, int], None] = lambda done, of: None
    """To be called while the teacher reads, with how many rows are done and of how many: a job
    that says nothing for `train.stall_timeout` minutes is ended."""


class Prepared(NamedTuple):
    """What came of a preparation."""

    tokens: int = 0
    """How many the teacher read for it, source and target."""
    teacher_ids: tuple[int, ...] | None = None
    """The teacher's id of each token of the students' vocabulary; None where it is the teacher's.
    Signals are then given over the students' tokens alone."""


@runtime_checkable
class PreparedLadder(Protocol):
    """A ladder that needs the teacher at work before it can build a student."""

    def prepare(self, config: Any, teacher: ModelFacts, given: Preparation) -> Prepared:
        """Write to `given.folder` what `build` needs; once a run, after any fine-tuning."""

    def build(
        self, size: Size, config: Any, teacher: ModelFacts, seed: int, *, prepared: Path
    ) -> Student:
        """Build the untrained student of one size, with the folder that `prepare` wrote."""
