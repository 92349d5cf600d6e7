"""Prepares the teachers: what a run asks of them once, for all of its trials."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kdsearch.assistants import source_folder
from kdsearch.distill.black_box import prepare_black_box
from kdsearch.distill.evaluate import Answers, answer, predict, write_predictions
from kdsearch.distill.fitting import build_objective, check_steps, fit, tokens_trained
from kdsearch.distill.loading import load_student
from kdsearch.distill.phases import phase, unheard
from kdsearch.distill.students import count_parameters, random_model
from kdsearch.distill.supply import provide
from kdsearch.errors import ModelError
from kdsearch.plugin import Student
from kdsearch.search.guesses import guesses_of
from kdsearch.search.reliability import teacher_refused
from kdsearch.search.rules import Rules
from kdsearch.spec.parts import ANSWER_SIGNALS
from kdsearch.spec.record import record_of, write_record
from kdsearch.spec.teaching import WITHOUT_TOKENS
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.distill.fitting import Report
    from kdsearch.distill.phases import Progress
    from kdsearch.distill.staff import OneTeacher
    from kdsearch.distill.workspace import Workspace


SEEDS_A_STAGE = 1000
"""Between the seeds of two stages' teachers, so that no two begin alike."""


@dataclass
class Prepared:
    """What came of a teacher's preparation."""

    parameters: int | None
    """None of a black box."""
    score: float | None
    """On dev; None of one that teaches in an earlier stage, and of a black box that does not answer
    all of dev."""
    items: int
    flops: dict[str, float] = field(
        default_factory=lambda: {"fine_tune": 0.0, "signals": 0.0, "evaluation": 0.0}
    )


def prepare_teachers(
    workspace: Workspace, job: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    """Fine-tune teachers if asked, store their signals on train and their answers to dev.

    Their answers to train are stored too where a loss reads them, or they are weighed by them. The
    teachers of earlier stages come last: their rows are read as the students read them.

    Where the first teacher's answers to dev end the search (`job["rules"]`), nothing else is made.

    Returns:
        What `TeacherReady` says: of the first, and by name of the others in `others`; FLOPs are
        those of all.
    """
    ready = _Preparation(workspace, job, report)
    done, cut = ready.prepare()
    first = workspace.teachers[0]
    if ready.refused:
        workspace.files.remove(first.root / "training")
        return {**asdict(done[first.name]), "cut": cut, "files": workspace.teacher_files()}
    reader = ready.reader()
    if first.given is not None:
        cut = workspace.read_all(reader)
    else:
        spent = 2.0 * first.facts.compute_parameters
        done[first.name].flops["signals"] += spent * workspace.prepare_ladder(
            reader, phase(report, "ladder")
        )
    signals, flops = ready.provide(reader)
    done[first.name].flops["signals"] += flops
    for place, stage in enumerate(workspace.earlier):
        earlier = _Preparation(
            stage, {**job, "seed": job["seed"] + SEEDS_A_STAGE * (1 + place)}, report
        )
        more, _ = earlier.prepare()
        cut[f"stages.{place}.train"] = stage.read_all(reader)["train"]
        _, flops = earlier.provide(reader)
        done[first.name].flops["signals"] += flops
        done |= {f"stages.{place}.{name}": each for name, each in more.items()}
    own = done.pop(first.name)
    every = [own, *done.values()]
    return {
        **asdict(own),
        "cut": cut,
        "signals": signals,
        "flops": {kind: sum(each.flops[kind] for each in every) for kind in own.flops},
        "others": {name: asdict(each) for name, each in done.items()},
        "files": workspace.teacher_files(),
    }


class _Preparation:
    """Prepares the teachers of one stage."""

    def __init__(self, workspace: Workspace, job: Mapping[str, Any], report: Report) -> None:
        self.workspace = workspace
        self.job = job
        self.report = report
        self.loaded: dict[str, Student] = {}
        self.refused = False
        """Whether the search ends with the first teacher's answers to dev."""

    def load(self, name: str) -> Student:
        """Return one that teaches, loaded once."""
        if name not in self.loaded:
            self.loaded[name] = self.workspace.staff[name].load()
        return self.loaded[name]

    def reader(self) -> Student:
        """Return what reads rows as students do; see `Workspace.reader`."""
        first = self.workspace.teachers[0]
        return self.loaded.get(first.name) or self.workspace.reader()

    def prepare(self) -> tuple[dict[str, Prepared], dict[str, int]]:
        """Fine-tune teachers and let them answer; return what came of each, and what was cut.

        The first one is judged before it answers train and before others are prepared.
        """
        done, cut, decides = dict[str, Prepared](), dict[str, int](), self.workspace.last
        for place, teacher in self.workspace.teachers.items():
            first, model = place == 0 and decides is self.workspace, None
            if teacher.given is not None:
                told = prepare_black_box(self.workspace, teacher, first=first)
                done[teacher.name] = Prepared(*told)
            else:
                own = {**self.job, "seed": self.job["seed"] + place}
                asked = self.workspace, teacher, own, self.report
                model, done[teacher.name], counted = _prepare(*asked)
                cut = cut or counted
            if first and self._refuses(teacher, done[teacher.name]):
                self.refused = True
                break
            if model is None:
                continue
            if teacher.needs & ANSWER_SIGNALS:
                spent = _answer_train(self.workspace, teacher, model, self.report)
                done[teacher.name].flops["signals"] += spent
            if first or teacher.needs - ANSWER_SIGNALS:
                self.loaded[teacher.name] = model
        return done, cut

    def _refuses(self, teacher: OneTeacher, done: Prepared) -> bool:
        """Whether the search will end with a teacher's answers to dev."""
        workspace, rules = self.workspace, Rules(**self.job["rules"])
        train, dev = workspace.assigned.train, workspace.assigned.dev
        guesses = guesses_of(train, dev, workspace.parts.labels)
        return teacher_refused(teacher.root, asdict(done), guesses, rules)

    def provide(self, reader: Student) -> tuple[Mapping[str, Any], float]:
        """Store what trials need of the teachers at each token; return it in words and FLOPs."""
        _check_tokens(self.workspace, reader, self.load)
        signals, flops = dict[str, Any](), 0.0
        if self.workspace.signal_requests:
            told = phase(self.report, "signals")
            provided = provide(self.workspace, reader, self.load, told)
            signals, flops = dict(provided.event), provided.flops
        for teacher in self.workspace.teachers.values():  # their checkpoints
            self.workspace.files.remove(teacher.root / "training")
        return signals, flops


def answer_split(
    workspace: Workspace,
    student: Student,
    split: str,
    destination: Path,
    progress: Progress = unheard,
) -> Answers:
    """Answer a split with a model and write down what it said."""
    answers = answer(
        student.model,
        student.tokenizer,
        workspace.rows(split, student),
        workspace.parts.domain,
        workspace.spec.match.metric,
        progress,
    )
    answers.write(workspace.files, destination / f"{split}.jsonl")
    return answers


def _prepare(
    workspace: Workspace, teacher: OneTeacher, job: Mapping[str, Any], report: Report
) -> tuple[Student, Prepared, dict[str, int]]:
    """Fine-tune a model and let it answer; return it, what came of it, and the questions cut."""
    compute, tuning = teacher.facts.compute_parameters, teacher.spec.fine_tune
    model, flops = _untrained(workspace, teacher, job["seed"]), dict[str, float]()
    cut = workspace.read_all(model)
    known = workspace.recorded(teacher.folder, job) if tuning is not None else False
    if known:  # its answers or signals alone were damaged
        model = teacher.load()
    elif tuning is not None:
        flops |= _fine_tune(workspace, teacher, model, job, report)
        with workspace.files.fill(teacher.folder) as draft:
            model.model.save_pretrained(draft)
            model.tokenizer.save_pretrained(draft)
            write_record(draft, record_of(workspace.whole, f"teacher {teacher.name}"))
        model = teacher.load()
    done = Prepared(count_parameters(model.model), None, 0)
    if workspace.assigned.dev:
        answers = answer_split(workspace, model, "dev", teacher.root, phase(report, "dev"))
        done.score, done.items = answers.mean, len(answers.scores)
        spent = 2.0 * compute * workspace.rows("dev", model).tokens
        flops["evaluation"] = flops.get("evaluation", 0.0) + spent
    done.flops |= flops
    return model, done, cut


def _answer_train(
    workspace: Workspace, teacher: OneTeacher, model: Student, report: Report
) -> float:
    """Store a teacher's answers to train, which losses read; return the FLOPs."""
    rows = workspace.rows("train", model)
    told, domain = phase(report, "train"), workspace.parts.domain
    answered = predict(model.model, model.tokenizer, rows, domain, told)
    write_predictions(workspace.files, teacher.taught_file, answered)
    return 2.0 * teacher.facts.compute_parameters * rows.tokens


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
    asked = tuning.evaluations > 1 and dev.examples
    checks = check_steps(tuning, rows) if asked else []
    domain, metric = workspace.parts.domain, workspace.spec.match.metric

    def judge(step: int) -> dict[str, Any]:
        if not checks:
            return {}
        told = phase(report, "dev")
        return {"score": answer(model.model, model.tokenizer, dev, domain, metric, told).mean}

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
