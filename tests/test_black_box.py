"""A teacher that is a file of answers: checked by the driver, searched without a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import DataError, RunError
from kdsearch.events import ConfirmOpened, Event, TeacherReady, TrialFinished
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin import Student
from kdsearch.plugin.host import Host
from kdsearch.report.plans import plan_lines, plan_rows
from kdsearch.run import resume, run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdsearch.events import Record
    from kdsearch.plugin import Example
    from kdsearch.spec.models import SearchSpec

    Given = Callable[..., SearchSpec]

SMALL = "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}"


def told(example: Example) -> str:
    """Answer as a teacher that takes the smaller digit in one case of ten."""
    return min(example.id[:2]) if example.id.endswith("7") else str(example.answer)


@pytest.fixture
def given(tmp_path: Path, toy_spec: Path, toy_host: Host) -> Given:
    """Return a maker of specs whose teacher is a file of answers to the larger of two digits."""
    examples = list(toy_host.domain("larger").load(None))

    def spec(*overrides: str, lines: int = len(examples)) -> SearchSpec:
        file = tmp_path / "answers.jsonl"
        answers = [{"id": example.id, "text": told(example)} for example in examples[:lines]]
        file.write_text("".join(f"{json.dumps(answer)}\n" for answer in answers))
        first = [
            f"teachers=[{{predictions: {file}}}]",
            "losses={answer_ce: {labels: teacher}}",
            "search.configurations_per_size=1",
            "train={batch_size: 32, learning_rate: 2e-2, max_steps: 60}",
        ]
        return load_spec(toy_spec.with_name("larger.yaml"), toy_host, [*first, SMALL, *overrides])

    return spec


def scores(file: Path) -> dict[str, float]:
    lines = map(json.loads, file.read_text().splitlines())
    return {line["id"]: line["score"] for line in lines}


def test_a_black_box_is_searched_without_a_model(
    given: Given, toy_host: Host, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    seen: list[tuple[Event, bool]] = []

    def watch(record: Record) -> None:
        seen.append((record.event, (folder / "teacher" / "confirm.jsonl").exists()))

    spec = given("match.margin=0.8")  # more than the teacher is above guessing
    summary = run(spec, toy_host, folder, run_locally, force=True, sinks=[watch])
    assert summary["sizes"][0]["decided_on"] == "confirm", summary["sentence"]
    assert summary["trials"] == {"finished": 2, "stopped": 0, "failed": 0}
    assert summary["teacher"]["parameters"] is None
    assert summary["sizes"][0]["share_of_teacher"] is None
    assert summary["cost"]["teacher_flops"] == 0.0
    [ready] = [event for event, _ in seen if isinstance(event, TeacherReady)]
    assert (ready.parameters, set(ready.flops.values())) == (None, {0.0})
    [answered_before] = [there for event, there in seen if isinstance(event, ConfirmOpened)]
    assert not answered_before
    for split, items in (("dev", 200), ("confirm", 300)):
        marked = scores(folder / "teacher" / f"{split}.jsonl")
        wrong = {name for name, score in marked.items() if not score}
        assert len(marked) == items
        assert wrong == {n for n in marked if n.endswith("7") and n[0] != n[1]}
    student = folder / "students" / "small"
    assert "distilled from black box answers.jsonl. It" in (student / "README.md").read_text()
    told = "whether the teacher needs the question was not looked at: a black box cannot be asked"
    assert any(line.startswith(told) for line in summary["warnings"])
    assert AutoModelForSeq2SeqLM.from_pretrained(student).num_parameters() > 0
    assert AutoTokenizer.from_pretrained(student).eos_token_id == 1


def stop(director: Any, spec: Any, folder: Any) -> None:
    """Stand for an executor that is killed before its first job."""
    raise KeyboardInterrupt


def test_a_black_box_that_misses_items_is_refused_before_anything_is_written(
    given: Given, toy_host: Host, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"answers.jsonl: \d+ of 1,000 items have no answer, the"):
        run(given(lines=900), toy_host, tmp_path / "run", stop)
    assert not (tmp_path / "run").exists()


def test_train_is_answered_only_where_a_loss_reads_it(given: Given, toy_host: Host) -> None:
    with pytest.raises(DataError, match="of 500 items have no answer"):
        make_plan(given("losses={answer_ce: {}}", lines=900), toy_host)
    assert (
        "no loss uses the teacher"
        in make_plan(given("losses={answer_ce: {}}"), toy_host).warnings[0]
    )


def test_changed_answers_are_not_resumed(given: Given, toy_host: Host, tmp_path: Path) -> None:
    spec = given()
    with pytest.raises(KeyboardInterrupt):
        run(spec, toy_host, tmp_path / "run", stop)
    file = tmp_path / "answers.jsonl"
    file.write_text(file.read_text().replace('"text": "9"', '"text": "8"', 1))
    with pytest.raises(RunError, match="the data have changed since the run began: predictions"):
        resume(tmp_path / "run", stop)


def test_a_plan_shows_a_black_box(given: Given, toy_host: Host) -> None:
    plan = make_plan(given(), toy_host).to_json()
    assert plan["teacher"] == {"name": "black box answers.jsonl", "parameters": None}
    assert plan["cost"]["teacher_flops"] == 0.0
    assert plan_rows(plan)[1].share is None
    assert plan_lines(plan)[0] == ("teacher", "black box answers.jsonl")


def test_the_teachers_answers_take_the_place_of_gold(
    given: Given, toy_host: Host, tmp_path: Path
) -> None:
    run(given("train.max_steps=1"), toy_host, tmp_path / "run", run_locally)
    workspace = Workspace(tmp_path / "run")
    tokenizer = byte_tokenizer()
    reader = Student(random_model(workspace.size("small").recipe, tokenizer, 0), tokenizer)
    for taught in (False, True):
        rows = workspace.rows("train", reader, taught=taught)
        learned = [tokenizer.decode(list(ids[:-1])) for ids in rows.targets]
        expected = [told(e) if taught else e.answer for e in rows.examples]
        assert learned == expected


def test_a_models_own_answers_are_learned_with_and_without_its_logits(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    overrides = [
        "losses={answer_ce: {labels: {grid: [gold, teacher]}}, soft_labels: {}}",
        "train={batch_size: 16, max_steps: 2}",
        SMALL,
    ]
    spec = load_spec(toy_spec, toy_host, overrides)
    summary = run(spec, toy_host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0, summary["failures"]
    answers = (tmp_path / "run" / "teacher" / "train.jsonl").read_text().splitlines()
    assert len(answers) == 109
    ready = next(
        r.event
        for r in read(tmp_path / "run" / "journal.jsonl")
        if isinstance(r.event, TeacherReady)
    )
    assert ready.flops["signals"] > 2 * ready.flops["evaluation"] * 109 / 60


SIGNS = """
from toy_domain import *

class Sign(Toy):
    name = "sign"
    answer = Answer.LABEL

    def load(self, options):
        for number in range(-100, 100):
            yield Example(str(number), str(number), int(number < 0), choices=("plus", "minus"))

    def format(self, example, options):
        return Prompt(example.choices[example.answer], example.question, choices=example.choices)

    def score(self, predictions, examples):
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(p.choice == e.answer) for p, e in pairs]})

@hookimpl
def kdsearch_domains():
    return [Sign()]
"""


@pytest.mark.parametrize("teacher", ["black box", "model"])
def test_scores_of_options_are_learned(
    teacher: str, toy_spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(toy_spec.parent)
    (tmp_path / "sign.py").write_text(SIGNS)
    host, file = Host([tmp_path / "sign.py"]), tmp_path / "answers.jsonl"
    given = [
        {"id": example.id, "choice": example.answer, "scores": [-3.0 * int(example.answer), -1.0]}
        for example in host.domain("sign").load(None)
    ]
    overrides = [
        "domain.name=sign",
        "splits={dev: 50, confirm: 50}",
        "losses={choice_scores: {}}",
        "train={batch_size: 16, max_steps: 30, learning_rate: 1e-2}",
        "search.configurations_per_size=1",
        SMALL,
    ]
    if teacher == "black box":
        file.write_text("\n".join(map(json.dumps, given)))
        overrides.append(f"teachers=[{{predictions: {file}}}]")
    spec = load_spec(toy_spec, host, overrides)
    summary = run(spec, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0, summary["failures"]
    ended = [r.event for r in read(tmp_path / "run" / "journal.jsonl")]
    baseline, distilled = (e for e in ended if isinstance(e, TrialFinished))
    assert distilled.flops["training"] > 2.5 * baseline.flops["training"]  # of options too
    if teacher == "black box":
        assert distilled.score > 0.9 > (distilled.untrained_score or 0.0)
        file.write_text("\n".join(json.dumps({**line, "scores": []}) for line in given))
        with pytest.raises(DataError, match="of 100 items have no scores, the first is"):
            make_plan(spec, host)


def test_cut_questions_are_counted_and_warned_of(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    overrides = [
        "teachers.0.fine_tune.max_steps=1",
        "train={max_steps: 1}",
        "prompt={max_tokens: 8, truncate: question}",
        SMALL,
    ]
    summary = run(load_spec(toy_spec, toy_host, overrides), toy_host, tmp_path / "run", run_locally)
    [ready] = [
        record.event
        for record in read(tmp_path / "run" / "journal.jsonl")
        if isinstance(record.event, TeacherReady)
    ]
    assert sum(ready.cut.values()) == 17**2 - 10**2  # those with a number of two digits
    assert summary["warnings"][-1] == (
        "questions were cut to fit prompt.max_tokens: "
        + ", ".join(f"{ready.cut[split]} of {split}" for split in ("train", "dev", "confirm"))
    )
