"""Models asked outside of a search: scores, answers, copies, and what cannot be asked."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.loading import load_spec, resolve_parts
from kdsearch.spec.record import record_of, write_record
from kdsearch.splits import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdsearch.plugin.host import Host

    Kd = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random T5."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    config = scratch_model_config("t5", ScratchSize(d_model=8, d_ff=16, layers=1, heads=2), 259)
    random_model(config, byte_tokenizer(), 0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def run(
    model: Path, tmp_path: Path, toy_spec: Path, toy_host: Host, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a run directory that selected the model."""
    kept = tmp_path / "run" / "students" / "tiny"
    kept.parent.mkdir(parents=True)
    kept.symlink_to(model.parent / "kept")
    if not kept.exists():
        (model.parent / "kept").mkdir()
        for file in model.iterdir():
            (kept / file.name).write_bytes(file.read_bytes())
        write_record(kept, record_of(load_spec(toy_spec, toy_host), "tiny"))
    (tmp_path / "run" / "journal.jsonl").write_text("")
    summary = {"outcome": "match", "selected": {"size": "tiny", "path": "students/tiny"}}
    monkeypatch.setattr("kdsearch.evaluation.finished_summary", lambda run: summary)
    return tmp_path / "run"


def test_models_are_scored_on_domains(kd: Kd, model: Path, toy_plugin: Path) -> None:
    asked = ("evaluate", model, "-d", "toy", "-d", "toy_evaluate", "--plugin", toy_plugin)
    ended = kd(*asked, "--set", "toy.largest=3", "--items", 9)
    assert ended.exit_code == 0, ended.stderr
    assert "toy dev" in ended.stdout
    assert "toy_evaluate all" in ended.stdout
    assert "versions of the domains: toy 1, toy_evaluate 1" in ended.stdout
    report = kd(*asked, "--set", "toy.largest=12", "--json").json
    assert [each["items"] for each in report["domains"]] == [25, 289]
    metrics = report["results"][0]["metrics"]
    assert list(metrics) == ["accuracy", "macro_f1"]
    assert metrics["accuracy"]["low"] <= metrics["accuracy"]["score"] < metrics["accuracy"]["high"]


def test_a_student_is_asked_what_its_search_asked(
    kd: Kd, run: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.jsonl"
    ended = kd("evaluate", run, "--plugin", toy_plugin, "--answers", answers, "--json")
    assert ended.exit_code == 0, ended.stderr
    assert ended.json["domains"][0]["items"] == 60  # splits.dev of the spec
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(lines) == 60
    assert set(lines[0]["scores"]) == {"accuracy"}
    again = kd("evaluate", run, "--plugin", toy_plugin, "--answers", answers)
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)


def test_a_student_of_a_run_is_named_by_its_size(kd: Kd, run: Path, toy_plugin: Path) -> None:
    shutil.copytree(run / "students" / "tiny", run / "students" / "other")
    asked = ("evaluate", run, "--plugin", toy_plugin, "--items", 2, "--json")
    assert kd(*asked, "--size", "other").json["results"][0]["folder"].endswith("students/other")
    assert kd(*asked).json["results"][0]["folder"].endswith("students/tiny")
    ended = kd(*asked, "--size", "otter")
    assert (ended.exit_code, "did you mean 'other'?" in ended.stderr) == (2, True)


def test_questions_are_answered_in_their_order(
    kd: Kd, run: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"id": "a", "question": "1 + 1 ="}\n\n{"question": "2 + 2 ="}\n')
    ended = kd("predict", run, file, "--plugin", toy_plugin)
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == ["a", "3"]
    file.write_text('{"id": "a"}\n')
    ended = kd("predict", run, file, "--plugin", toy_plugin)
    assert ended.exit_code == 2
    assert ended.stderr == f"error: {file}:1: question: Field required\n"
    file.write_text("id,question\na,1 + 1 =\n")
    ended = kd("predict", run, file, "--plugin", toy_plugin)
    assert ended.exit_code == 2
    assert f"{file}:1: JSON lines expected, and this is no JSON object" in ended.stderr
    assert "CSV is not read" in ended.stderr


CLASSES = """
from toy_domain import *
from kdsearch.plugin.choices import choice_prompt, choice_scores

class Parity(Toy):
    name, answer, aggregates = "parity", Answer.CHOICE, ()

    def load(self, options):
        for number in range(120):
            yield Example(str(number), f"{number}?", number % 2, choices=("even", "odd"))

    def format(self, example, options):
        return choice_prompt(example, "letter")

    def score(self, predictions, examples):
        return choice_scores(predictions, examples)

class Moods(Toy):
    name, answer, aggregates = "moods", Answer.LABEL, ()

    def load(self, options):
        raise AssertionError("new questions need no data")

    def classes(self, options):
        return ("glad", "sad")

    def format(self, example, options):
        return choice_prompt(example, "letter")

class Nameless(Moods):
    name, classes = "nameless", None

@hookimpl
def kdsearch_domains():
    return [Parity(), Moods(), Nameless()]
"""


@pytest.fixture
def classes(tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a plugin of domains with options."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "classes.py").write_text(CLASSES)
    return tmp_path / "classes.py"


def test_predicted_answers_teach(
    kd: Kd, model: Path, toy_spec: Path, classes: Path, tmp_path: Path, run_here: None
) -> None:
    """What `predict` prints is a teacher's file, with the same answers and scores."""
    told = kd("predict", model, "-d", "parity", "--plugin", classes, "--split", "all")
    assert told.exit_code == 0, told.stderr
    (tmp_path / "answers.jsonl").write_text(told.stdout)
    settings = (
        "domain.name=parity",
        f"teachers=[{{predictions: {tmp_path / 'answers.jsonl'}}}]",
        "losses={choice_scores: {}}",
        "splits={dev: 20, confirm: 40}",
        "search.configurations_per_size=1",
        "ladder.sizes={small: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}",
        "prompt.max_tokens=64",
    )
    asked = [word for setting in settings for word in ("--set", setting)]
    run = tmp_path / "searched"
    where = ("--plugin", classes, "--run-dir", run, "--force", "--display", "none")
    ended = kd("run", toy_spec, *where, *asked, "--json")
    assert ended.exit_code in (0, 1), ended.stderr
    assert ended.json["trials"]["failed"] == 0
    given = {line["id"]: line for line in map(json.loads, told.stdout.splitlines())}
    assert len(given) == 120
    lines = (run / "teacher" / "dev.jsonl").read_text().splitlines()
    answered = list(map(json.loads, lines))
    assert len(answered) == 20
    for line in answered:
        assert line["prediction"] == given[line["id"]]["choice"]
        assert line["scores"] == pytest.approx(given[line["id"]]["scores"], abs=1e-4)


def test_new_questions_need_not_bring_the_classes(
    kd: Kd, model: Path, classes: Path, tmp_path: Path
) -> None:
    (tmp_path / "questions.jsonl").write_text('{"id": "a", "question": "A sunny day"}\n')
    asked = ("predict", model, tmp_path / "questions.jsonl", "--plugin", classes)
    ended = kd(*asked, "-d", "moods")
    assert ended.exit_code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["choice"] in ("glad", "sad")
    assert len(found["scores"]) == 2
    ended = kd(*asked, "-d", "nameless")
    assert ended.exit_code == 3
    assert "domain 'nameless', example 'a': format raised IndexError" in ended.stderr
    assert ended.stderr.endswith("(the example has no choices)\n")


def test_answers_are_refused_a_place_before_any_is_made(
    kd: Kd, model: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere" / "answers.jsonl"
    ended = kd("evaluate", model, "-d", "toy", "--plugin", toy_plugin, "--answers", nowhere)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == f"error: {nowhere.parent}: there is no such folder (make it first)\n"


def test_evaluation_leaves_out_what_decided_the_search(kd: Kd, run: Path, toy_plugin: Path) -> None:
    asked = (run, "--plugin", toy_plugin, "--split", "all")
    report = kd("evaluate", *asked, "--json").json
    assert report["domains"][0]["items"] == 289 - 120
    assert len(kd("predict", *asked).stdout.splitlines()) == 289


@pytest.mark.parametrize("split", ["all", "dev", "train"])
def test_other_splits_do_not_bring_confirm_back(
    kd: Kd, run: Path, toy_plugin: Path, toy_spec: Path, toy_host: Host, tmp_path: Path, split: str
) -> None:
    spec = load_spec(toy_spec, toy_host)
    parts = resolve_parts(spec, toy_host)
    divided = load(parts.domain, parts.options).divide(spec.stage.splits, spec.search.seed)
    asked = (run, "--plugin", toy_plugin, "--split", split, "--set", "search.seed=9")
    answers = tmp_path / "answers.jsonl"
    assert kd("evaluate", *asked, "--answers", answers, "--json").exit_code == 0
    given = {json.loads(line)["id"] for line in answers.read_text().splitlines()}
    assert given
    assert not given & {example.id for example in divided.splits.confirm}


@pytest.fixture
def searched(tmp_path: Path, model: Path, toy_spec: Path, toy_host: Host) -> Path:
    """Return a run directory of before its models carried records."""
    folder = tmp_path / "searched"
    spec = load_spec(toy_spec, toy_host).model_dump(mode="json")
    del spec["stages"][0]["splits"]["near_duplicates"]
    for place in ("trials/small-c0-s0/student", "teacher/model"):
        shutil.copytree(model, folder / place)
    (folder / "manifest.json").write_text(json.dumps({"kdsearch": "0", "spec": spec}))
    (folder / "journal.jsonl").write_text("")
    return folder


def linked_files(folder: Path, destination: Path) -> Path:
    destination.mkdir()
    for file in folder.iterdir():
        (destination / file.name).symlink_to(file)
    return destination


@pytest.mark.parametrize("place", ["trials/small-c0-s0/student", "teacher/model"])
@pytest.mark.parametrize("way", ["path", "dotted", "link", "links"])
def test_every_model_of_a_run_leaves_out_what_decided_it(
    kd: Kd, searched: Path, toy_plugin: Path, tmp_path: Path, place: str, way: str
) -> None:
    folder, link = searched / place, tmp_path / "link"
    if way == "dotted":
        folder = searched / ".." / "searched" / place
    elif way == "link":
        link.symlink_to(folder)
        folder = link
    elif way == "links":
        folder = linked_files(folder, link)
    report = kd("evaluate", folder, "--plugin", toy_plugin, "--split", "all", "--json").json
    assert report["domains"][0]["items"] == 289 - 120


def test_a_model_of_a_run_without_manifest_is_not_asked(
    kd: Kd, searched: Path, toy_plugin: Path
) -> None:
    (searched / "manifest.json").unlink()
    asked = ("evaluate", searched / "teacher" / "model", "--plugin", toy_plugin, "-d", "toy")
    ended = kd(*asked, "--split", "all")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "of a run whose manifest cannot be read" in ended.stderr


def test_a_manifest_of_another_program_is_no_run(
    kd: Kd, model: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text('["app"]')
    shutil.copytree(model, tmp_path / "model")
    asked = ("evaluate", tmp_path / "model", "-d", "toy", "--plugin", toy_plugin, "--split", "all")
    assert kd(*asked, "--json").json["domains"][0]["items"] == 289


def test_a_student_is_copied_and_nothing_overwritten(kd: Kd, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "student"
    (run / "students" / "tiny" / "model.safetensors").chmod(0o600)
    (run / "students" / "tiny").resolve().chmod(0o700)
    assert kd("export", run, copy).exit_code == 0
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for made, usual in ((copy, "folder"), (copy / "model.safetensors", "file")):
        assert made.stat().st_mode == (tmp_path / usual).stat().st_mode
    ended = kd("export", run, copy)
    assert ended.exit_code == 2
    assert ended.stderr == f"error: {copy}: it exists already (name another folder)\n"
    assert "did you mean 'tiny'" in kd("export", run, tmp_path / "x", "--size", "tinny").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no domain: give --domain NAME"),
        (("-d", "toi"), "did you mean 'toy'?"),
        (("-d", "toy", "--split", "confirm"), "confirm decides a search"),
        (("-d", "toy", "--split", "tset"), "no split 'tset': allowed: all, dev, train"),
        (("-d", "toy", "--set", "toy.largst=3"), "unknown key 'largst' in toy: did you mean"),
        (("-d", "toy", "--set", "domain.options.largest=x"), "domain.options.largest: should be"),
        (("-d", "toy", "--set", "evaluation.scoring=fast"), "unknown value 'fast'"),
        (("-d", "toy", "--set", "toy=3"), "write toy.KEY=VALUE"),
    ],
)
def test_what_cannot_be_asked_is_told(
    kd: Kd, model: Path, toy_plugin: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = kd("evaluate", model, "--plugin", toy_plugin, *arguments)
    assert ended.exit_code == 2
    assert told in ended.stderr
