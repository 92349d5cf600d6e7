"""Prepares the teacher: what a run asks of it once, for all of its trials."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.distill.black_box import prepare_black_box
from kdsearch.distill.evaluate import Answers, answer, predict, write_predictions
from kdsearch.distill.fitting import build_objective, fit, to_device, tokens_trained
from kdsearch.distill.sources import provide
from kdsearch.distill.students import count_parameters, load_student, random_model
from kdsearch.model_folders import model_folder
from kdsearch.plugin import Student
from kdsearch.spec.parts import ANSWER_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.distill.fitting import Report
    from kdsearch.distill.workspace import Workspace


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
    teacher = _untrained(workspace)
    cut = workspace.read_all(teacher)
    if spec.fine_tune is not None:
        rows = workspace.rows("train", teacher)
        objective = build_objective(workspace, teacher, {"answer_ce": {"weight": 1.0}})
        fit(workspace, objective, rows, spec.fine_tune, job, report, folder.parent / "training")
        teacher.model.save_pretrained(folder)
        teacher.tokenizer.save_pretrained(folder)
        flops["fine_tune"] = 6.0 * compute * tokens_trained(rows, spec.fine_tune)
        teacher = load_student(folder)
    to_device(teacher.model)
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
    answers = answer_split(workspace, teacher, "dev", workspace.teacher_root)
    flops["evaluation"] = 2.0 * compute * workspace.rows("dev", teacher).tokens
    shutil.rmtree(folder.parent / "training", ignore_errors=True)  # its checkpoints
    return {
        "parameters": count_parameters(teacher.model),
        "score": answers.mean,
        "items": len(answers.scores),
        "cut": cut,
        "signals": signals,
        "flops": flops,
    }


def answer_split(workspace: Workspace, student: Student, split: str, destination: Path) -> Answers:
    """Answer a split with a model and write down what it said."""
    answers = answer(
        student.model,
        student.tokenizer,
        workspace.rows(split, student),
        workspace.parts.domain,
        workspace.spec.match.metric,
    )
    answers.write(destination / f"{split}.jsonl")
    return answers


def _untrained(workspace: Workspace) -> Student:
    """Return the teacher before fine-tuning: random from its measures, or as stored."""
    spec = workspace.spec.stage.teachers[0]
    if spec.model is not None:
        return load_student(model_folder(spec.model))
    tokenizer = workspace.scratch_tokenizer()
    measures = workspace.teacher_facts.config
    return Student(random_model(measures, tokenizer, workspace.spec.search.seed), tokenizer)
