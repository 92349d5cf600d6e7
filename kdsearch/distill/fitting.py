"""Trains a model on a run's rows: its objective, its batches, its budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.data import Collator, Rows
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.sources import open_source
from kdsearch.distill.students import load_student
from kdsearch.distill.trainer import train
from kdsearch.facts import facts_of_config
from kdsearch.plugin import Shapes, Signal, Student
from kdsearch.search.budget import steps_of, window
from kdsearch.spec.parts import ANSWER_SIGNALS, needs_of

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.distill.workspace import Workspace
    from kdsearch.spec.training import Training

Report = Callable[[Mapping[str, Any]], None]
"""Told about progress: `step`, `total_steps`, `losses` and, after an evaluation, dev scores; or a
`note` of what was done beside training."""


def build_objective(
    workspace: Workspace, student: Student, losses: Mapping[str, Mapping[str, Any]]
) -> DistillationModel:
    """Build the loss terms of an objective around a student."""
    table, head = student.model.get_input_embeddings(), student.model.get_output_embeddings()
    facts = facts_of_config(student.model.config.to_dict(), head_tied=head.weight is table.weight)
    shapes = Shapes(facts, (workspace.teacher_facts,))
    terms, needs = {}, frozenset[Signal]()
    for name, given in losses.items():
        loss = workspace.host.loss(name)
        config = workspace.loss_config(name, given)
        balanced = given.get("balance") == "auto"
        terms[name] = Term(loss.build(config, shapes), given["weight"], balanced)
        needs |= needs_of(loss, config)
    return DistillationModel(student.model, terms, needs=needs)


def fit(
    workspace: Workspace,
    model: DistillationModel,
    rows: Rows,
    training: Training,
    job: Mapping[str, Any],
    report: Report,
    folder: Path,
    needs: frozenset[Signal] = frozenset(),
) -> None:
    """Train a model on rows, with the teacher's signals that its terms need."""
    source = None
    columns: dict[str, Any] = {}
    if Signal.CHOICE_SCORES in needs:
        columns["choices"] = rows.choices
        columns["choice_scores"] = workspace.taught_scores(rows)
    if needs - ANSWER_SIGNALS:
        source = open_source(
            workspace,
            partial(load_student, workspace.teacher_folder),
            lambda note: report({"step": 0, "total_steps": 0, "note": note}),
        )
        columns |= source.columns(rows)
    to_device(model)
    train(
        model,
        rows.table(**columns),
        Collator(
            model.config.pad_token_id or 0, source, causal=not model.config.is_encoder_decoder
        ),
        training,
        steps=_steps(training, rows),
        folder=folder,
        seed=job["seed"],
        report=report,
        groups=[example.group for example in rows.examples],
        report_steps=evaluation_steps(training, rows),
        identity=_identity(job.get("settings"), training, job["seed"], rows),
    )


def _identity(settings: Any, training: Training, seed: int, rows: Rows) -> str:
    """Hash what a training is: its settings, seed and rows in their order."""
    told = json.dumps([settings, training.model_dump(mode="json"), seed], sort_keys=True)
    return hashlib.sha256(told.encode() + b"".join(rows.keys())).hexdigest()[:16]


def _steps(training: Training, rows: Rows) -> int:
    """Return a budget in optimiser steps on rows."""
    return steps_of(training, len(rows.examples), rows.tokens) or 1


def evaluation_steps(training: Training, rows: Rows) -> list[int]:
    """Return the steps at which dev is answered on the way, the end left out."""
    count = training.evaluations
    return [_steps(training, rows) * part // count for part in range(1, count)]


def tokens_trained(rows: Rows, training: Training) -> float:
    """Estimate the tokens that a training budget reads."""
    examples = _steps(training, rows) * window(training)
    return rows.tokens / len(rows.examples) * examples


def to_device(model: torch.nn.Module) -> None:
    """Move a model to where it computes."""
    if torch.cuda.is_available():
        model.to("cuda")
