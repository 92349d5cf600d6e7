"""What a worker is asked to do: prepare the teacher, train a student, answer confirm, audit.

A job is plain data and its result is plain data; models, rows and answers pass through the run
directory. Nothing here knows what the search will make of the result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock

from kdsearch.distill.audit import Audit, audited
from kdsearch.distill.black_box import answer_given, prepare_black_box
from kdsearch.distill.data import Collator, Rows
from kdsearch.distill.evaluate import (
    Answers,
    answer,
    discordant,
    predict,
    read_answers,
    write_predictions,
)
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.samples import Samples
from kdsearch.distill.sources import OnlineSignals, open_source, provide
from kdsearch.distill.students import (
    check_fit,
    count_parameters,
    load_model,
    load_tokenizer,
    random_model,
)
from kdsearch.distill.trainer import train
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import ModelError
from kdsearch.facts import facts_of_config, facts_of_folder
from kdsearch.plugin import Example, Shapes, Signal, Student
from kdsearch.search.budget import steps_of, window
from kdsearch.search.graded import paired_figures
from kdsearch.spec.models import Settings, settings_hash
from kdsearch.spec.parts import ANSWER_SIGNALS, needs_of
from kdsearch.splits import units_of

if TYPE_CHECKING:
    from kdsearch.spec.training import Training

Report = Callable[[Mapping[str, Any]], None]
"""Told about progress: `step`, `total_steps`, `losses` and, after an evaluation, dev scores."""


def perform(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Do one job and return its result.

    Args:
        job: `kind` (`teacher`, `train`, `confirm` or `audit`), `run` (the run directory), and for
            the latter three `trial` and `size`, None of the teacher's audit; to train also `seed`
            and `settings`, to confirm the `trials` that answer, `trial` and its further seeds.
        report: Called every few seconds while training.

    Raises:
        KdsearchError: If data or models do not fit the spec.
        NonFiniteLossError: If a loss term is NaN or infinite.
    """
    run = Path(job["run"])
    workspace = _workspace(run, (run / "manifest.json").stat().st_mtime_ns)
    resources = workspace.spec.resources
    alone = resources.teacher_cpus if job["kind"] == "teacher" else None
    torch.set_num_threads(alone or resources.cpus)
    return _KINDS[job["kind"]](workspace, job, report)


@lru_cache(maxsize=2)
def _workspace(run: Path, written: int) -> Workspace:
    """Open a run directory once a process: the next job finds data and tokens ready.

    Args:
        run: The run directory.
        written: When its manifest was: a run may be extended.
    """
    return Workspace(run)


def prepare_teacher(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Fine-tune the teacher if asked, store its signals on train and its answers to dev.

    Its answers to train are stored too where a loss reads them.
    """
    if workspace.given is not None:
        return prepare_black_box(workspace, workspace.given)
    spec = workspace.spec.stage.teachers[0]
    folder = workspace.teacher_folder
    compute = workspace.teacher_facts.compute_parameters
    flops = {"fine_tune": 0.0, "signals": 0.0, "evaluation": 0.0}
    teacher = _untrained_teacher(workspace)
    cut = workspace.read_all(teacher)
    if spec.fine_tune is not None:
        rows = workspace.rows("train", teacher)
        objective = _objective(workspace, teacher, {"answer_ce": {"weight": 1.0}})
        _fit(workspace, objective, rows, spec.fine_tune, job, report, folder.parent / "training")
        teacher.model.save_pretrained(folder)
        teacher.tokenizer.save_pretrained(folder)
        flops["fine_tune"] = 6.0 * compute * _tokens_trained(rows, spec.fine_tune)
        teacher = _stored(folder)
    _to_device(teacher.model)
    if workspace.parts.needs & ANSWER_SIGNALS:
        rows = workspace.rows("train", teacher)
        answered = predict(teacher.model, teacher.tokenizer, rows, workspace.parts.domain)
        write_predictions(workspace.taught_file, answered)
        flops["signals"] += 2.0 * compute * rows.tokens
    flops["signals"] += 2.0 * compute * workspace.prepare_ladder(teacher)
    signals: dict[str, Any] = {}
    if workspace.signal_request:
        signals = provide(workspace, lambda: teacher)
        flops["signals"] += 2.0 * compute * signals.get("tokens", 0)
    answers = _answer_split(workspace, teacher, "dev", workspace.teacher_root)
    flops["evaluation"] = 2.0 * compute * workspace.rows("dev", teacher).tokens
    return {
        "parameters": count_parameters(teacher.model),
        "score": answers.mean,
        "items": len(answers.scores),
        "cut": cut,
        "signals": signals,
        "flops": flops,
    }


def train_student(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Train one student and answer dev with it, before and after."""
    started = time.monotonic()
    settings = Settings.model_validate(job["settings"])
    folder = workspace.trial_folder(job["trial"])
    size = workspace.size(job["size"])
    student = workspace.build(size, job["seed"])
    if count_parameters(student.model) != size.parameters:
        raise ModelError(
            f"size {size.name} was counted as {size.parameters} parameters "
            f"and built with {count_parameters(student.model)}",
            where=f"ladder {workspace.spec.ladder.kind}",
        )
    _to_device(student.model)
    needs = workspace.needs(settings)
    taught = Signal.TEXT in needs
    rows, dev = workspace.rows("train", student, taught=taught), workspace.rows("dev", student)
    domain, metric = workspace.parts.domain, workspace.spec.match.metric
    known = read_answers(workspace.teacher_root / "dev.jsonl")
    teacher, samples = known.scores, Samples(student, dev, known, domain, metric)

    def judged() -> tuple[Answers, dict[str, Any]]:
        answers = answer(student.model, student.tokenizer, dev, domain, metric)
        student_only, teacher_only = discordant(answers.scores, teacher)
        return answers, {
            "score": answers.mean,
            "student_only": student_only,
            "teacher_only": teacher_only,
            "items": len(answers.scores),
            **_paired(answers.scores, teacher, dev.examples, workspace.spec.match.retain),
        }

    due = _evaluation_steps(settings.training, rows)
    evaluations = len(due) + 2

    def tell(progress: Mapping[str, Any]) -> None:
        reached = [step for step in due if step <= progress["step"]]
        del due[: len(reached)]
        report({**progress, **(judged()[1] if reached else {}), "sample": samples.take()})

    untrained = judged()[0].mean
    model = _objective(workspace, student, settings.losses)
    _fit(workspace, model, rows, settings.training, job, tell, folder / "training", needs)
    answers, scores = judged()
    student.model.save_pretrained(folder / "student")
    student.tokenizer.save_pretrained(folder / "student")
    answers.write(folder / "dev.jsonl")
    facts = facts_of_folder(folder / "student")
    options = rows.option_tokens if Signal.CHOICE_SCORES in needs else 0
    trained = _tokens_trained(rows, settings.training) * (1.0 + options / rows.tokens)
    beside = isinstance(workspace.source, OnlineSignals) and bool(needs - ANSWER_SIGNALS)
    teacher_compute = workspace.teacher_facts.compute_parameters if beside else 0
    result = {
        **scores,
        "untrained_score": untrained,
        "settings_hash": settings_hash(settings),
        "flops": {
            "training": 6.0 * facts.compute_parameters * trained,
            "evaluation": 2.0 * facts.compute_parameters * dev.tokens * evaluations,
            "teacher": 2.0 * teacher_compute * _tokens_trained(rows, settings.training),
        },
        "seconds": time.monotonic() - started,
    }
    (folder / "metrics.json").write_text(json.dumps(result), encoding="utf8")
    return result


def answer_confirm(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Answer confirm with a trained student of each seed, and once a run with the teacher."""
    spent = 0.0
    root = workspace.teacher_root
    with FileLock(root / "confirm.lock"):
        if not (root / "confirm.jsonl").exists():
            if workspace.given is not None:
                answer_given(workspace, workspace.given, "confirm")
            else:
                spent += _confirm_with(workspace, workspace.teacher_folder, root)
    for trial in job["trials"]:
        folder = workspace.trial_folder(trial)
        spent += _confirm_with(workspace, folder / "student", folder)
    return {"flops": {"evaluation": spent}}


def audit(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Look for shortcuts of the teacher or of a student, and write down the student's errors."""
    trial, root = job["trial"], workspace.teacher_root
    folder = root if trial is None else workspace.trial_folder(trial)
    model_folder = workspace.teacher_folder if trial is None else folder / "student"
    reader, compute = None, 0.0
    if trial is not None or workspace.given is None:
        reader = _stored(model_folder)
        _to_device(reader.model)
        compute = facts_of_folder(model_folder).compute_parameters
    work = Audit(workspace, folder, reader)
    teacher = None if trial is None else read_answers(root / "dev.jsonl")
    found = audited(work, teacher, workspace.run / "errors" / f"{job['size']}.jsonl")
    return {**found, "flops": {"evaluation": 2.0 * compute * work.tokens}}


def _paired(
    student: Sequence[float],
    teacher: Sequence[float],
    examples: Sequence[Example],
    retain: float | None,
) -> dict[str, Any]:
    """Return figures of graded scores or of items in units; of others counts say all."""
    units = units_of(examples)
    if not units and all(score in (0.0, 1.0) for score in (*student, *teacher)):
        return {}
    named = [units[example.id] for example in examples] if units else None
    return {"paired": paired_figures(student, teacher, retain, named)}


def _confirm_with(workspace: Workspace, model_folder: Path, destination: Path) -> float:
    """Answer confirm with a stored model and return the FLOPs spent."""
    stored = _stored_on_device(model_folder)
    _answer_split(workspace, stored, "confirm", destination)
    tokens = workspace.rows("confirm", stored).tokens
    return 2.0 * facts_of_folder(model_folder).compute_parameters * tokens


def _answer_split(workspace: Workspace, student: Student, split: str, destination: Path) -> Answers:
    answers = answer(
        student.model,
        student.tokenizer,
        workspace.rows(split, student),
        workspace.parts.domain,
        workspace.spec.match.metric,
    )
    answers.write(destination / f"{split}.jsonl")
    return answers


def _stored(folder: Path) -> Student:
    """Return a stored model with its tokenizer."""
    stored = Student(load_model(folder), load_tokenizer(folder))
    check_fit(stored.model, stored.tokenizer, folder)
    return stored


def _stored_on_device(folder: Path) -> Student:
    """Return a stored model with its tokenizer, where it computes."""
    stored = _stored(folder)
    _to_device(stored.model)
    return stored


def _untrained_teacher(workspace: Workspace) -> Student:
    """Return the teacher before fine-tuning: random from its measures, or as stored."""
    spec = workspace.spec.stage.teachers[0]
    if spec.model is not None:
        return _stored(Path(spec.model))
    tokenizer = workspace.scratch_tokenizer()
    measures = workspace.teacher_facts.config
    return Student(random_model(measures, tokenizer, workspace.spec.search.seed), tokenizer)


def _objective(
    workspace: Workspace, student: Student, losses: Mapping[str, Mapping[str, Any]]
) -> DistillationModel:
    """Build the loss terms of an objective around a student."""
    table, head = student.model.get_input_embeddings(), student.model.get_output_embeddings()
    facts = facts_of_config(student.model.config.to_dict(), head_tied=head.weight is table.weight)
    shapes = Shapes(facts, (workspace.teacher_facts,))
    terms, hidden = {}, False
    for name, given in losses.items():
        loss = workspace.host.loss(name)
        config = workspace.loss_config(name, given)
        balanced = given.get("balance") == "auto"
        terms[name] = Term(loss.build(config, shapes), given["weight"], balanced)
        hidden = hidden or Signal.HIDDEN_STATES in needs_of(loss, config)
    return DistillationModel(student.model, terms, hidden=hidden)


def _fit(
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
            partial(_stored_on_device, workspace.teacher_folder),
            lambda note: report({"step": 0, "total_steps": 0, "note": note}),
        )
        columns |= source.columns(rows)
    _to_device(model)
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
        report=lambda step, total, losses: report(
            {"step": step, "total_steps": total, "losses": dict(losses)}
        ),
        groups=[example.group for example in rows.examples],
        report_steps=_evaluation_steps(training, rows),
    )


def _steps(training: Training, rows: Rows) -> int:
    """Return a budget in optimiser steps on rows."""
    return steps_of(training, len(rows.examples), rows.tokens) or 1


def _evaluation_steps(training: Training, rows: Rows) -> list[int]:
    """Return the steps at which dev is answered on the way, the end left out."""
    count = training.evaluations
    return [_steps(training, rows) * part // count for part in range(1, count)]


def _tokens_trained(rows: Rows, training: Training) -> float:
    """Estimate the tokens that a training budget reads."""
    examples = _steps(training, rows) * window(training)
    return rows.tokens / len(rows.examples) * examples


def _to_device(model: torch.nn.Module) -> None:
    if torch.cuda.is_available():
        model.to("cuda")


_KINDS: Mapping[str, Callable[[Workspace, Mapping[str, Any], Report], dict[str, Any]]] = {
    "teacher": prepare_teacher,
    "train": train_student,
    "confirm": answer_confirm,
    "audit": audit,
}
