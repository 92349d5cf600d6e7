"""The stages that a student goes through: each starts where the one before it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.distill.fitting import (
    Report,
    beside,
    beside_compute,
    budget,
    build_objective,
    check_steps,
    fit,
    tokens_of,
    tokens_trained,
)
from kdsearch.distill.views import view_tokens
from kdsearch.plugin import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kdsearch.distill.data import Rows
    from kdsearch.distill.training import Trained
    from kdsearch.distill.workspace import Workspace
    from kdsearch.plugin import Student
    from kdsearch.spec.settings import Settings
    from kdsearch.spec.teaching import Needs


class Spent(NamedTuple):
    """What a stage took of a trial."""

    training: float
    """Tokens that the student was trained on, options and views of questions included."""
    held_out: float
    """Tokens of examples held out whose losses were measured."""
    teacher_flops: float
    """Of the teachers that ran beside it."""


@dataclass(frozen=True)
class StageWork:
    """One stage of one trial."""

    workspace: Workspace
    """Of the stage."""
    student: Student
    settings: Settings
    """The stage's own."""

    @cached_property
    def needs(self) -> Mapping[str, Needs]:
        """By term what it reads of teachers."""
        return self.workspace.needs(self.settings)

    @cached_property
    def rows(self) -> Rows:
        """What it trains on."""
        taught = any(Signal.TEXT in own for own in self.needs.values())
        return self.workspace.rows("train", self.student, taught=taught)

    @cached_property
    def beside(self) -> Mapping[str, list[Any]]:
        """What its rows carry besides."""
        return beside(self.workspace, self.student, self.settings.losses, self.rows)

    @property
    def steps(self) -> int:
        """Its budget in optimiser steps."""
        return budget(self.settings.training, self.rows)

    def train(
        self,
        job: Mapping[str, Any],
        report: Report,
        folder: Path,
        judge: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> Trained:
        """Train the student in place.

        Args:
            job: The trial's.
            report: Told of the steps of this stage.
            folder: Of its checkpoints.
            judge: Answers dev at a check, in the last stage.
        """
        return fit(
            self.workspace,
            build_objective(self.workspace, self.student, self.settings.losses),
            self.rows,
            self.settings.training,
            job,
            report,
            folder,
            self.needs,
            self.beside,
            judge,
        )

    def spent(self, done: Trained) -> Spent:
        """Return what it took, having ended so."""
        rows, training = self.rows, self.settings.training
        options = rows.option_tokens if "choices" in self.beside else 0
        further = (options + view_tokens(self.beside)) / rows.tokens
        trained = tokens_trained(rows, training, done.step)
        checks = sum(step <= done.step for step in check_steps(training, rows))
        held_out = checks * (rows.tokens - tokens_of(rows, training))
        compute = beside_compute(self.workspace, self.needs)
        return Spent(trained * (1.0 + further), held_out, 2.0 * compute * (trained + held_out))


def works_of(workspace: Workspace, student: Student, settings: Settings) -> list[StageWork]:
    """Return the stages of a trial in order."""
    places = [*workspace.earlier, workspace]
    each = zip(places, settings.stages, strict=True)
    return [StageWork(place, student, own) for place, own in each]


def counted(report: Report, works: Sequence[StageWork], place: int) -> Report:
    """Return a report that counts the steps of all stages, and names the stage of several.

    Args:
        report: Told of the whole trial.
        works: Its stages.
        place: Of the stage that reports.
    """
    if len(works) == 1:
        return report
    steps = [work.steps for work in works]

    def tell(progress: Mapping[str, Any]) -> None:
        if "phase" in progress:
            report({**progress, "stage": place})
            return
        done = sum(steps[:place]) + progress["step"]
        report({**progress, "step": done, "total_steps": sum(steps), "stage": place})

    return tell
