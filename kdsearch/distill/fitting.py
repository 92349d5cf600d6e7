"""Trains a model on a run's rows: its objective, its batches, its budget."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.data import Collator, Rows
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.phases import phase
from kdsearch.distill.several import OneByOne, Together
from kdsearch.distill.sources import SeveralSources
from kdsearch.distill.supply import online, open_source
from kdsearch.distill.training import train
from kdsearch.facts import facts_of_config
from kdsearch.plugin import Example, Shapes, Signal, Student
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.signals import temperature_of
from kdsearch.search.budget import held_out, steps_of, window
from kdsearch.spec.parts import ANSWER_SIGNALS, needs_of
from kdsearch.spec.signals import TOGETHER
from kdsearch.spec.teachers import Combine, loss_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from kdsearch.distill.sources import Source
    from kdsearch.distill.training import Trained
    from kdsearch.distill.workspace import Workspace
    from kdsearch.plugin import Loss
    from kdsearch.spec.teaching import Needs
    from kdsearch.spec.training import Training

Report = Callable[[Mapping[str, Any]], None]
"""Told about progress: `step`, `total_steps`, `losses` and, after an evaluation, dev scores; or a
`note` of what was done beside training; or of a `phase` beside training: see `phases`."""


def build_objective(
    workspace: Workspace, student: Student, losses: Mapping[str, Mapping[str, Any]]
) -> DistillationModel:
    """Build the loss terms of an objective around a student."""
    table, head = student.model.get_input_embeddings(), student.model.get_output_embeddings()
    facts = facts_of_config(student.model.config.to_dict(), head_tied=head.weight is table.weight)
    shares = option_shares(workspace.assigned.train)
    terms, needs = {}, frozenset[Signal]()
    for key, given in losses.items():
        loss, config = workspace.host.loss(loss_of(key)), workspace.loss_config(key, given)
        module = _module(workspace, key, loss, config, Shapes(facts, (), shares))
        terms[key] = Term(module, given["weight"], given.get("balance") == "auto")
        needs |= needs_of(loss, config)
    views = [view.name for view in workspace.views(losses)]
    return DistillationModel(student.model, terms, needs=needs, views=views)


def option_shares(examples: Sequence[Example]) -> tuple[float, ...]:
    """Return the share of questions whose right option is the first, the second and so on."""
    most = max((len(example.choices) for example in examples), default=0)
    right = Counter(example.answer for example in examples if example.choices)
    return tuple(right[place] / right.total() for place in range(most))


def beside(
    workspace: Workspace, student: Student, losses: Mapping[str, Mapping[str, Any]], rows: Rows
) -> dict[str, list[Any]]:
    """Return what a table carries beside its rows: their options and views, where losses ask."""
    scored, columns = workspace.scores_options(losses), dict[str, list[Any]]()
    if scored:
        columns["choices"] = list(rows.choices)
    for view in workspace.views(losses):
        columns |= workspace.view_columns(view, student, rows.examples, scored=scored)
    return columns


def _module(workspace: Workspace, key: str, loss: Loss, config: Any, shapes: Shapes) -> nn.Module:
    """Build a term for the teachers that it reads, as `several` combines them.

    Args:
        workspace: The run.
        key: The term's.
        loss: What the key means.
        config: Its options.
        shapes: Without teachers.
    """
    stage, staff = workspace.spec.stage, workspace.staff
    names = [stage.names[place] for place in stage.readers(key)]
    facts = tuple(staff[name].facts for name in names)
    if len(staff.names) == 1 or not needs_of(loss, config) - {Signal.TEXT}:
        return _built(key, loss, config, shapes._replace(teachers=facts))
    if len(names) > 1 and stage.combine is not Combine.SEPARATE:
        module = _built(key, loss, config, shapes._replace(teachers=facts))
        return Together(module, temperature_of(config))
    each = [_built(key, loss, config, shapes._replace(teachers=(own,))) for own in facts]
    weights = [staff[name].spec.weight for name in names]
    shares = [weight / sum(weights) for weight in weights]
    return OneByOne(dict(zip(names, each, strict=True)), shares)


def _built(key: str, loss: Loss, config: Any, shapes: Shapes) -> nn.Module:
    with PluginCall(f"loss '{key}'", "build", ends_only=True):
        return loss.build(config, shapes)


def fit(
    workspace: Workspace,
    model: DistillationModel,
    rows: Rows,
    training: Training,
    job: Mapping[str, Any],
    report: Report,
    folder: Path,
    needs: Mapping[str, Needs] | None = None,
    beside: Mapping[str, list[Any]] | None = None,
    judge: Callable[[int], Mapping[str, Any]] | None = None,
) -> Trained:
    """Train a model on rows, with the signals that its terms need.

    The last rows are held out where the training asks for it. They come in the order of the seed,
    units together, so that at most one unit lies on both sides.

    Args:
        workspace: The run.
        model: The student with its objective.
        rows: What it learns.
        training: Its budget and optimiser.
        job: With the `seed`.
        report: Told about progress.
        folder: For the training's own files; its curves go beside it.
        needs: By term, the teachers' signals that it reads.
        beside: What `beside` returns of the rows.
        judge: Answers dev at a check.
    """
    source, columns = _signals(workspace, rows, needs or {}, report)
    columns |= beside or {}
    to_device(model)
    table, count = rows.table(**columns), len(rows.examples)
    trained = _trained(rows, training)
    return train(
        model,
        table.select(range(trained)) if trained < count else table,
        Collator(
            model.config.pad_token_id or 0, source, causal=not model.config.is_encoder_decoder
        ),
        training,
        steps=budget(training, rows),
        folder=workspace.files.make(folder),
        seed=job["seed"],
        report=report,
        groups=[example.group for example in rows.examples[:trained]],
        report_steps=check_steps(training, rows),
        identity=_identity(job.get("settings"), training, job["seed"], rows),
        judge=judge,
        validation=table.select(range(trained, count)) if trained < count else None,
        curve=folder.parent / "curves.jsonl",
    )


def _identity(settings: Any, training: Training, seed: int, rows: Rows) -> str:
    """Hash what a training is: its settings, seed and rows in their order."""
    told = json.dumps([settings, training.model_dump(mode="json"), seed], sort_keys=True)
    return hashlib.sha256(told.encode() + b"".join(rows.keys())).hexdigest()[:16]


def _signals(
    workspace: Workspace, rows: Rows, needs: Mapping[str, Needs], report: Report
) -> tuple[Source | None, dict[str, Any]]:
    """Return where a trial's signals come from, and what its rows carry for them."""
    staff, stage = workspace.staff, workspace.spec.stage
    scored, asked = dict[str, None](), dict[str, None]()
    for key, own in needs.items():
        names = [stage.names[place] for place in stage.readers(key)]
        if Signal.CHOICE_SCORES in own:
            scored |= dict.fromkeys(names)
        if own - ANSWER_SIGNALS:
            joint = len(names) > 1 and TOGETHER in workspace.signal_requests
            asked |= dict.fromkeys([TOGETHER] if joint else names)
    sources = {
        name: open_source(
            workspace,
            name,
            workspace.load_teacher,
            lambda note: report({"step": 0, "total_steps": 0, "note": note}),
            phase(report, "signals"),
        )
        for name in asked
    }
    if len(staff.names) > 1 and (sources or scored):
        several = SeveralSources(staff, sources, list(scored))
        return several, several.columns(rows)
    columns: dict[str, Any] = {}
    for name in scored:
        columns |= {"choices": rows.choices, "choice_scores": staff.scores(name, rows)}
    for source in sources.values():
        return source, columns | source.columns(rows)
    return None, columns


def _trained(rows: Rows, training: Training) -> int:
    """Return how many of the rows are trained on."""
    return len(rows.examples) - held_out(training, len(rows.examples))


def tokens_of(rows: Rows, training: Training) -> int:
    """Return the tokens of the rows that are trained on."""
    trained = _trained(rows, training)
    return sum(map(len, rows.sources[:trained])) + sum(map(len, rows.targets[:trained]))


def budget(training: Training, rows: Rows) -> int:
    """Return a budget in optimiser steps on rows."""
    return steps_of(training, len(rows.examples), tokens_of(rows, training)) or 1


def check_steps(training: Training, rows: Rows) -> list[int]:
    """Return the steps at which dev is answered, the end included."""
    count, steps = training.evaluations, budget(training, rows)
    return sorted({max(1, steps * part // count) for part in range(1, count + 1)})


def tokens_trained(rows: Rows, training: Training, steps: int | None = None) -> float:
    """Estimate the tokens that a training reads, in its whole budget or so many steps."""
    done = budget(training, rows) if steps is None else steps
    return tokens_of(rows, training) / _trained(rows, training) * done * window(training)


def beside_compute(workspace: Workspace, needs: Mapping[str, Needs]) -> int:
    """Return the parameters of the teachers that run beside a trial with such needs."""
    stage = workspace.spec.stage
    read = {
        place for key, own in needs.items() if own - ANSWER_SIGNALS for place in stage.readers(key)
    }
    if not read or not online(workspace):
        return 0
    return sum(workspace.teachers[place].facts.compute_parameters for place in read)


def to_device(model: torch.nn.Module) -> None:
    """Move a model to where it computes."""
    if torch.cuda.is_available():
        model.to("cuda")
