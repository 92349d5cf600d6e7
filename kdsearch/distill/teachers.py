"""Prepares the teachers: what a run asks of them once, for all of its trials."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kdsearch.assistants import source_folder
from kdsearch.distill.black_box import prepare_black_box
from kdsearch.distill.evaluate import Answers, answer, predict, write_predictions
from kdsearch.distill.fitting import build_objective, check_steps, fit, tokens_trained
from kdsearch.distill.students import count_parameters, load_student, random_model
from kdsearch.distill.supply import provide
from kdsearch.errors import ModelError
from kdsearch.plugin import Student
from kdsearch.spec.parts import ANSWER_SIGNALS
from kdsearch.spec.teaching import WITHOUT_TOKENS
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.distill.fitting import Report
    from kdsearch.distill.staff import OneTeacher
    from kdsearch.distill.workspace import Workspace


@dataclass
class Prepared:
    """What came of a teacher's preparation."""

    parameters: int | None
    """None of a black box."""
    score: float | None
    """On dev; None of a black box beside the first teacher that does not answer all of it."""
    items: int
    flops: dict[str, float] = field(
        default_factory=lambda: {"fine_tune": 0.0, "signals": 0.0, "evaluation": 0.0}
    )


def prepare_teachers(
    workspace: Workspace, job: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    """Fine-tune teachers if asked, store their signals on train and their answers to dev.

    Their answers to train are stored too where a loss reads them, or they are weighed by them.

    Returns:
        What `TeacherReady` says: of the first, and by name of the others in `others`; FLOPs are
        those of all.
    """
    loaded: dict[str, Student] = {}

    def load(name: str) -> Student:
        if name not in loaded:
            loaded[name] = workspace.staff[name].load()
        return loaded[name]

    done, cut = {}, dict[str, int]()
    for place, teacher in workspace.teachers.items():
        if teacher.given is not None:
            done[place] = Prepared(*prepare_black_box(workspace, teacher, first=place == 0))
            continue
        own = {**job, "seed": job["seed"] + place}
        model, done[place], counted = _prepare(workspace, teacher, own, report)
        cut = cut or counted
        if place == 0 or teacher.needs - ANSWER_SIGNALS:
            loaded[teacher.name] = model
    first = workspace.teachers[0]
    reader = workspace.reader(load)
    if first.given is not None:
        cut = workspace.read_all(reader)
    else:
        spent = 2.0 * first.facts.compute_parameters
        done[0].flops["signals"] += spent * workspace.prepare_ladder(reader)
    _check_tokens(workspace, reader, load)
    signals: Mapping[str, Any] = {}
    if workspace.signal_requests:
        signals, flops = provide(workspace, reader, load)
        done[0].flops["signals"] += flops
    for teacher in workspace.teachers.values():  # their checkpoints
        shutil.rmtree(teacher.root / "training", ignore_errors=True)
    kinds = done[0].flops
    return {
        **asdict(done[0]),
        "cut": cut,
        "signals": signals,
        "flops": {kind: sum(each.flops[kind] for each in done.values()) for kind in kinds},
        "others": {
            workspace.teachers[place].name: asdict(each) for place, each in done.items() if place
        },
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


def _prepare(
    workspace: Workspace, teacher: OneTeacher, job: Mapping[str, Any], report: Report
) -> tuple[Student, Prepared, dict[str, int]]:
    """Fine-tune a model and let it answer; return it, what came of it, and the questions cut."""
    compute, tuning = teacher.facts.compute_parameters, teacher.spec.fine_tune
    model, flops = _untrained(workspace, teacher, job["seed"]), dict[str, float]()
    cut = workspace.read_all(model)
    if tuning is not None:
        flops |= _fine_tune(workspace, teacher, model, job, report)
        model.model.save_pretrained(teacher.folder)
        model.tokenizer.save_pretrained(teacher.folder)
        model = teacher.load()
    if teacher.needs & ANSWER_SIGNALS:
        rows = workspace.rows("train", model)
        answered = predict(model.model, model.tokenizer, rows, workspace.parts.domain)
        write_predictions(teacher.taught_file, answered)
        flops["signals"] = 2.0 * compute * rows.tokens
    answers = answer_split(workspace, model, "dev", teacher.root)
    spent = 2.0 * compute * workspace.rows("dev", model).tokens
    flops["evaluation"] = flops.get("evaluation", 0.0) + spent
    done = Prepared(count_parameters(model.model), answers.mean, len(answers.scores))
    done.flops |= flops
    return model, done, cut


def _fine_tune(
    workspace: Workspace,
    teacher: OneTeacher,
    model: Student,
    job: Mapping[str, Any],
    report: Report,
) -> dict[str, float]:
    """Train a teacher on the domain; return the FLOPs of `fine_tune` and of `evaluation`.

    Dev is answered on the way only where more than one evaluation is asked for: its end is anyway.
    """
    compute, tuning = teacher.facts.compute_parameters, teacher.spec.fine_tune or Training()
    rows, dev = workspace.rows("train", model), workspace.rows("dev", model)
    checks = check_steps(tuning, rows) if tuning.evaluations > 1 else []
    domain, metric = workspace.parts.domain, workspace.spec.match.metric

    def judge(step: int) -> dict[str, Any]:
        if not checks:
            return {}
        return {"score": answer(model.model, model.tokenizer, dev, domain, metric).mean}

    objective = build_objective(workspace, model, {"answer_ce": {"weight": 1.0}})
    files = teacher.root / "training"
    done = fit(workspace, objective, rows, tuning, job, report, files, judge=judge)
    passes = sum(step <= done.step for step in checks)
    return {
        "fine_tune": 6.0 * compute * tokens_trained(rows, tuning, done.step),
        "evaluation": 2.0 * compute * dev.tokens * passes,
    }


def _untrained(workspace: Workspace, teacher: OneTeacher, seed: int) -> Student:
    """Return a teacher before fine-tuning: random from its measures, or as stored."""
    stored = source_folder(teacher.spec)
    if stored is not None:
        return load_student(stored) if teacher.spec.fine_tune else teacher.load()
    tokenizer = workspace.scratch_tokenizer()
    return Student(random_model(teacher.facts.config, tokenizer, seed), tokenizer)


def _check_tokens(workspace: Workspace, reader: Student, load: Any) -> None:
    """Refuse a teacher that is to be compared token by token and has other tokens.

    Where no `tokenizer.json` tells, it is seen only here.
    """
    known = reader.tokenizer.get_vocab()
    for teacher in workspace.staff.teachers:
        compared = teacher.needs - WITHOUT_TOKENS
        if compared and load(teacher.name).tokenizer.get_vocab() != known:
            raise ModelError(
                f"teacher '{teacher.name}' has another tokenizer than the first, which is the "
                "students'",
                where=str(teacher.folder),
                fix="let it teach by choice_scores, uld, or answer_ce with labels: teacher",
            )
