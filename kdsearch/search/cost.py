"""What a search costs in time and operations, against training the exhaustive grid."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.events import (
    ConfirmChecked,
    ConfirmTested,
    ModelAudited,
    RunStarted,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialRepaired,
    TrialStarted,
    TrialStopped,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kdsearch.events import Event, Record

TRAINING, FORWARD = 6.0, 2.0
"""Operations a parameter and token: two forward, four backward (Kaplan et al. 2020)."""


def training_flops(compute_parameters: int, tokens: float) -> float:
    """Return the operations of training on so many tokens.

    Args:
        compute_parameters: Those that multiply activations: no embedding look-up.
        tokens: Batch times tokens after truncation, over all steps.
    """
    return TRAINING * compute_parameters * tokens


def forward_flops(compute_parameters: int, tokens: float) -> float:
    """Return the operations of one pass over so many tokens without gradients."""
    return FORWARD * compute_parameters * tokens


def grid_flops(trial_flops: Iterable[float], configurations: int) -> float:
    """Return the training of every configuration and the baseline at every size, to the end."""
    return sum(trial_flops) * (configurations + 1)


class Totals(NamedTuple):
    """What was spent; teacher and evaluation stand apart from training."""

    training: float
    teacher: float
    """Fine-tuning and signals, stored or beside a student."""
    evaluation: float
    """The teacher's and the students' answers on dev and confirm, and what audits asked."""
    ablation: float
    """Training without a term, which is no part of the search."""
    share_of_grid: float
    """Planned cost times the share of steps done, over the planned grid; 0 without a grid."""


class Ledger:
    """Adds up what each event says was spent.

    Args:
        trial_flops: Planned training of one whole trial, by size.
        grid: Planned training of the exhaustive grid, baselines included.
    """

    def __init__(self, trial_flops: Mapping[str, float], grid: float) -> None:
        self.trial_flops = trial_flops
        self.grid = grid
        self._share_done: dict[str, float] = {}
        self._sizes: dict[str, str] = {}
        self._training: dict[str, float] = {}
        self._evaluation: dict[str, float] = {}
        self._teacher: Mapping[str, float] = {}
        self._ablated: set[str] = set()
        self._beside: dict[str, float] = {}

    def apply(self, event: Event) -> None:
        """Enter what an event says; a trial's later event replaces its earlier one."""
        trial = event.trial or ""
        if isinstance(event, TeacherReady):
            self._teacher = event.flops
        elif isinstance(event, ConfirmTested):
            self._evaluation[f"confirm:{event.size}:{event.look}"] = sum(event.flops.values())
        elif isinstance(event, ConfirmChecked):
            self._evaluation[f"confirm:{event.items}"] = sum(event.flops.values())
        elif isinstance(event, ModelAudited):
            self._evaluation[f"audit:{event.trial}"] = sum(event.flops.values())
        elif isinstance(event, TrialStarted):
            self._sizes[trial] = event.size or ""
            if event.without is not None:
                self._ablated.add(trial)
        elif isinstance(event, TrialProgress):
            self._sizes[trial] = event.size or self._sizes.get(trial, "")
            self._share_done[trial] = event.step / max(1, event.total_steps)
        elif isinstance(event, TrialRepaired):
            self._training[trial] = self.trial_training(trial) + event.flops.get("training", 0.0)
        elif isinstance(event, TrialFinished | TrialStopped | TrialFailed):
            self._end(trial, event)

    def trial_training(self, trial: str) -> float:
        """Return a trial's training: as it reported, else planned times the share done."""
        planned = self.trial_flops.get(self._sizes.get(trial, ""), 0.0)
        return self._training.get(trial, planned * self._share_done.get(trial, 0.0))

    def totals(self) -> Totals:
        """Return the sums so far."""
        planned = sum(
            self.trial_flops.get(self._sizes.get(trial, ""), 0.0) * share
            for trial, share in self._share_done.items()
            if trial not in self._ablated
        )
        spent = {trial: self.trial_training(trial) for trial in self._sizes}
        ablation = sum(spent[trial] for trial in self._ablated)
        return Totals(
            training=sum(spent.values()) - ablation,
            teacher=self._teacher.get("fine_tune", 0.0)
            + self._teacher.get("signals", 0.0)
            + sum(self._beside.values()),
            evaluation=self._teacher.get("evaluation", 0.0) + sum(self._evaluation.values()),
            ablation=ablation,
            share_of_grid=planned / self.grid if self.grid else 0.0,
        )

    def _end(self, trial: str, event: TrialFinished | TrialStopped | TrialFailed) -> None:
        self._sizes[trial] = event.size or self._sizes.get(trial, "")
        if "training" in event.flops:
            self._training[trial] = event.flops["training"]
        if "evaluation" in event.flops:
            self._evaluation[trial] = event.flops["evaluation"]
        self._beside[trial] = event.flops.get("teacher", 0.0)
        planned = self.trial_flops.get(self._sizes[trial], 0.0)
        if isinstance(event, TrialFinished):
            self._share_done[trial] = event.step / event.total_steps if event.total_steps else 1.0
        elif trial not in self._share_done and planned:
            self._share_done[trial] = min(1.0, event.flops.get("training", 0.0) / planned)


def seconds_running(records: Sequence[Record]) -> float:
    """Return the time on the clock, without the pauses between a kill and its resumption."""
    total = 0.0
    for earlier, later in pairwise(records):
        if not isinstance(later.event, RunStarted):
            total += max(0.0, later.time - earlier.time)
    return total
