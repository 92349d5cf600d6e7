"""How much disk a run takes: teachers made here, students, their checkpoints, stored signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.storage.space import WEIGHT_BYTES, trial_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plan.stages import PlannedStage
    from kdsearch.plugin.api import Size


class Disk(NamedTuple):
    """Bytes."""

    teachers: int
    """Teachers that are fine-tuned or made here, each with its checkpoints."""
    trial: int
    """The largest student with its checkpoints."""
    students: int
    """Every trial of the exhaustive grid; a search trains fewer."""
    signals: int | None
    """Of a store with every row at its longest; None where none is planned or it is not known."""

    @property
    def least(self) -> int:
        """What is needed for sure, whatever the search decides."""
        return self.teachers + self.trial


def planned_disk(stages: Iterable[PlannedStage], sizes: Sequence[Size], trials_a_size: int) -> Disk:
    """Return what a run will take.

    Args:
        stages: All of them.
        sizes: The ladder.
        trials_a_size: Baseline and configurations.
    """
    teachers, signals = 0, list[int]()
    for stage in stages:
        for place, facts in stage.teachers.items():
            source = stage.spec.stage.teachers[place]
            if source.fine_tune is not None and source.predictions is None:
                teachers += trial_bytes(facts.parameters)
        stored = stage.signals
        if stored is not None and stored.mode != "online" and stored.most_bytes is not None:
            signals.append(min(stored.most_bytes, stored.max_bytes))
    students = WEIGHT_BYTES * trials_a_size * sum(size.parameters for size in sizes)
    largest = max(size.parameters for size in sizes)
    return Disk(teachers, trial_bytes(largest), students, sum(signals) if signals else None)
