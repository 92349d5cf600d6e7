"""What a worker is asked to do: prepare the teacher, train a student, answer confirm, audit.

A job is plain data and its result is plain data; models, rows and answers pass through the run
directory. Nothing here knows what the search will make of the result.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock

from kdsearch.distill.audit import Audit, answer_shares, audited
from kdsearch.distill.black_box import answer_given
from kdsearch.distill.card import SETTINGS
from kdsearch.distill.evaluate import (
    Answers,
    answer,
    read_answers,
)
from kdsearch.distill.fitting import (
    Report,
    to_device,
)
from kdsearch.distill.loading import load_student
from kdsearch.distill.phases import phase
from kdsearch.distill.samples import Samples
from kdsearch.distill.stages import counted, works_of
from kdsearch.distill.students import count_parameters
from kdsearch.distill.teachers import answer_split, prepare_teachers
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import ModelError, RunError, StorageError
from kdsearch.facts import facts_of_folder
from kdsearch.inputs.added_items import split_name
from kdsearch.search.several import figures, figures_by_domain
from kdsearch.search.shortcuts import SHOWN_ANSWERS
from kdsearch.spec.record import record_of, write_record
from kdsearch.spec.settings import Settings, settings_hash
from kdsearch.splits import units_of
from kdsearch.storage import check_space, sealed, trial_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdsearch.distill.phases import Progress
    from kdsearch.plugin import Student


def perform(job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Do one job and return its result.

    Args:
        job: `kind` (`teacher`, `train`, `confirm` or `audit`), `run` (the run directory), and for
            the latter three `trial` and `size`, None of the teacher's audit; of the teacher `seed`
            and the search's `rules`; to train also `seed` and `settings`; to confirm the `trials`
            that answer, `trial` and its further seeds.
        report: Called every few seconds while training, and while rows are answered or stored.

    Raises:
        KdsearchError: If data or models do not fit the spec.
        NonFiniteLossError: If a loss term or its gradient is NaN or infinite.
    """
    run = Path(job["run"])
    workspace = _workspace(run, (run / "manifest.json").stat().st_mtime_ns)
    if job["kind"] != "teacher" and (damaged := workspace.damaged(job.get("files", {}))):
        raise StorageError(
            f"a file of the teacher was damaged during the run: {damaged}",
            where=str(run),
            fix="resume the run: it is made again",
        )
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


def train_student(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Train one student through all stages and answer dev with it, before and after."""
    started = time.monotonic()
    settings = Settings.model_validate(job["settings"])
    folder = workspace.trial_folder(job["trial"])
    size = workspace.size(job["size"])
    check_space(workspace.run, trial_bytes(size.parameters), f"trial {job['trial']}")
    student = workspace.build(size, job["seed"])
    if count_parameters(student.model) != size.parameters:
        raise ModelError(
            f"size {size.name} was counted as {size.parameters} parameters "
            f"and built with {count_parameters(student.model)}",
            where=f"ladder {workspace.spec.ladder.kind}",
        )
    to_device(student.model)
    works = works_of(workspace, student, settings)
    dev = workspace.rows("dev", student)
    domain, metric = workspace.parts.domain, workspace.spec.match.metric
    known = read_answers(workspace.teacher_root / "dev.jsonl")
    teacher, samples = known.scores, Samples(student, dev, known, domain, metric)

    def compare(scores: Sequence[float]) -> dict[str, Any]:
        retain, units = workspace.spec.match.retain, units_of(dev.examples)
        items = [example.id for example in dev.examples]
        named = [units[item] for item in items] if units else None
        found = figures(scores, teacher, retain, named)
        if workspace.parts.labels:
            found["domains"] = figures_by_domain(items, scores, teacher, retain, units)
        return found

    def judged() -> tuple[Answers, dict[str, Any]]:
        told = phase(report, "dev")
        answers = answer(student.model, student.tokenizer, dev, domain, metric, told)
        return answers, compare(answers.scores)

    measured: dict[int, tuple[Answers, dict[str, Any]]] = {}

    def judge(step: int) -> dict[str, Any]:
        measured[step] = judged()
        return measured[step][1]

    last = counted(report, works, len(works) - 1)

    def tell(progress: Mapping[str, Any]) -> None:
        last({**progress, "sample": samples.take()} if "losses" in progress else progress)

    untrained = judged()[0]
    shares = answer_shares(domain, untrained.predictions, dev.examples)
    ended = [
        work.train(job, counted(report, works, place), folder / "stages" / str(place) / "training")
        for place, work in enumerate(works[:-1])
    ]
    ended.append(works[-1].train(job, tell, folder / "training", judge))
    done, before = ended[-1], sum(each.step for each in ended[:-1])
    answers, scores = measured.get(done.kept) or judged()
    kept = workspace.files
    with kept.fill(folder / "student") as draft:
        student.model.save_pretrained(draft)
        student.tokenizer.save_pretrained(draft)
        write_record(draft, record_of(workspace.whole, size.name))
    answers.write(kept, folder / "dev.jsonl")
    facts = facts_of_folder(folder / "student")
    spent = [work.spent(each) for work, each in zip(works, ended, strict=True)]
    asked = dev.tokens * (1 + len(measured) + (done.kept not in measured))
    result = {
        **scores,
        "untrained_score": untrained.mean,
        "untrained_answers": [list(share) for share in shares[:SHOWN_ANSWERS]],
        "settings_hash": settings_hash(settings),
        "flops": {
            "training": 6.0 * facts.compute_parameters * sum(each.training for each in spent),
            "evaluation": 2.0 * facts.compute_parameters * (asked + sum(e.held_out for e in spent)),
            "teacher": sum(each.teacher_flops for each in spent),
        },
        "step": before + done.step,
        "total_steps": sum(work.steps for work in works),
        "kept_step": before + done.kept,
        "ended": next((each.reason for each in ended if each.reason), ""),
        "seconds": time.monotonic() - started,
        "files": workspace.digests(folder / "student", folder / "dev.jsonl"),
    }
    kept.write(folder / SETTINGS, sealed(job["settings"], indent=1))
    kept.write(folder / "metrics.json", json.dumps(result))
    for training in (folder / "training", *folder.glob("stages/*/training")):  # its checkpoints
        kept.remove(training)
    return result


def answer_confirm(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Answer confirm with a trained student of each seed, and once a run with the teacher.

    What the journal has recorded is not answered again, unless it is damaged. Nothing is answered
    where a student is damaged.
    """
    spent, root, known = 0.0, workspace.teacher_root, job.get("answers", {})
    if damaged := _damaged_students(workspace, job["trials"], job.get("students", {})):
        return {"damaged": damaged}
    splits = [split_name(look) for look in range(1, 1 + job.get("look", 1))]
    with FileLock(workspace.files.path(root / "confirm.lock")):
        for split in _unanswered(workspace, root, splits, known):
            first = workspace.teachers[0]
            if first.given is not None:
                answer_given(workspace, first, split)
            else:
                asked = first.load(), first.folder, root
                spent += _confirm_with(workspace, split, *asked, phase(report, "confirm"))
    for trial in job["trials"]:
        folder = workspace.trial_folder(trial)
        student = folder / "student"
        for split in _unanswered(workspace, folder, splits, known):
            asked = load_student(student), student, folder
            spent += _confirm_with(workspace, split, *asked, phase(report, "confirm"))
    folders = [root, *map(workspace.trial_folder, job["trials"])]
    answered = workspace.digests(*(f / f"{split}.jsonl" for f in folders for split in splits))
    if changed := [
        path for path, found in answered.items() if known.get(path) not in (None, found)
    ]:
        raise RunError(
            f"answers were damaged after their test, and the model now gives others: {changed[0]}",
            where=str(workspace.run),
            fix="restore the file, or start a new run",
        )
    return {"flops": {"evaluation": spent}, "files": answered}


def audit(workspace: Workspace, job: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Look for shortcuts of the teacher or of a student, and write down the student's errors."""
    trial, root = job["trial"], workspace.teacher_root
    if trial and (damaged := _damaged_students(workspace, [trial], job.get("students", {}))):
        return {"damaged": damaged}
    folder = root if trial is None else workspace.trial_folder(trial)
    model_folder = workspace.teacher_folder if trial is None else folder / "student"
    reader, compute = None, 0.0
    if trial is not None or workspace.given is None:
        reader = workspace.teachers[0].load() if trial is None else load_student(model_folder)
        compute = facts_of_folder(model_folder).compute_parameters
    work = Audit(workspace, folder, reader, phase(report, "dev"))
    teacher = None if trial is None else read_answers(root / "dev.jsonl")
    errors = workspace.files.path("errors", f"{job['size']}.jsonl")
    found = audited(work, teacher, errors)
    files = {} if trial is None else workspace.digests(errors)
    return {**found, "flops": {"evaluation": 2.0 * compute * work.tokens}, "files": files}


def _damaged_students(
    workspace: Workspace, trials: Sequence[str], known: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return by trial what is wrong with its student's files."""
    found = {trial: workspace.damaged(known.get(trial, {})) for trial in trials}
    return {trial: faults for trial, faults in found.items() if faults}


def _unanswered(
    workspace: Workspace, folder: Path, splits: Sequence[str], known: Mapping[str, str | None]
) -> list[str]:
    """Return the splits whose answers are to be made.

    Args:
        workspace: The run.
        folder: Of the model's answers.
        splits: Of confirm.
        known: By path what the journal has recorded; None in journals of older versions, which
            did not record digests.
    """
    paths = {split: str((folder / f"{split}.jsonl").relative_to(workspace.run)) for split in splits}
    return [
        split
        for split, path in paths.items()
        if path not in known
        or not (workspace.run / path).exists()
        or (known[path] is not None and workspace.damaged({path: str(known[path])}))
    ]


def _confirm_with(
    workspace: Workspace,
    split: str,
    stored: Student,
    model_folder: Path,
    destination: Path,
    progress: Progress,
) -> float:
    """Answer confirm, or what a look added, with a stored model and return the FLOPs spent."""
    answer_split(workspace, stored, split, destination, progress)
    tokens = workspace.rows(split, stored).tokens
    return 2.0 * facts_of_folder(model_folder).compute_parameters * tokens


_KINDS: Mapping[str, Callable[[Workspace, Mapping[str, Any], Report], dict[str, Any]]] = {
    "teacher": prepare_teachers,
    "train": train_student,
    "confirm": answer_confirm,
    "audit": audit,
}
