"""Audits of whole runs in this process: what is asked, written, journalled and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import cycle, permutations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner

from kdsearch.cli import main
from kdsearch.distill.audit import Audit
from kdsearch.distill.data import Rows
from kdsearch.distill.evaluate import Answers
from kdsearch.events import ModelAudited, TrialProgress
from kdsearch.local import run_locally
from kdsearch.plugin import Answer, Example, Prediction, Student
from kdsearch.plugin.host import Host
from kdsearch.plugin.union import Member, Union, labelled
from kdsearch.plugin.views import permuted
from kdsearch.report.messages import message
from kdsearch.report.state import RunState
from kdsearch.run import run
from kdsearch.search.audits import audit_figures, shortcuts_of, takes_shortcut
from kdsearch.search.journal import read
from kdsearch.search.shortcuts import ALWAYS
from kdsearch.spec.loading import load_spec
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLUGIN = """
from toy_domain import *
from kdsearch.plugin.choices import choice_prompt, choice_scores

class Placed(Toy):
    name, answer, aggregates = "placed", Answer.CHOICE, ()

    def load(self, options):
        for number in range(300):
            words = tuple(f"{place}{number}" for place in "xyz")
            yield Example(str(number), str(number), 1, choices=words, group=f"g{number % 2}")

    def format(self, example, options):
        return choice_prompt(example, "letter")

    def score(self, predictions, examples):
        return choice_scores(predictions, examples)

@hookimpl
def kdsearch_domains():
    return [Placed()]
"""
ASKED = (
    "domain.name=placed",
    "splits={dev: 60, confirm: 100}",
    "teachers.0.fine_tune={max_steps: 25, batch_size: 16, learning_rate: 2e-2}",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 2e-2, batch_size: 16, max_steps: 25}",
    "losses={answer_ce: {}, soft_labels: {}}",
    "search={configurations_per_size: 1}",
    "prompt={max_tokens: 40}",
)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory, toy_spec: Path, toy_plugin: Path) -> Path:
    """Return a run on questions that are all answered by the second option."""
    folder = tmp_path_factory.mktemp("placed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_plugin.parent)
        (folder / "placed.py").write_text(PLUGIN)
        host = Host([folder / "placed.py"])
        run(load_spec(toy_spec, host, ASKED), host, folder / "run", run_locally, force=True)
    return folder / "run"


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_by_place_is_a_shortcut(placed: Path) -> None:
    summary = summary_of(placed)
    for audit in (
        summary["shortcut_audit"]["teacher"],
        summary["shortcut_audit"]["sizes"]["small"],
    ):
        assert audit["most_frequent"] == {"answer": "option 2", "share": 1.0, "gold_share": 1.0}
        assert (audit["score"], audit["blanked"]["score"]) == (1.0, 1.0)
        assert (audit["permuted"]["score"], audit["permuted"]["agreement"]) == (0.0, 0.0)
        assert audit["shortcut"]
    assert summary["sizes"][0]["shortcut"]
    assert summary["outcome"] == "match"
    told = summary["sentence"].partition(" Beware, a match by --force: ")[2]
    assert told == "; ".join(summary["selected"]["withheld"]) + "."
    assert summary["selected"]["withheld"] == [
        "the teacher is not shown to be above guessing on dev",
        "the teacher scores 1.000 on dev and 1.000 on confirm, where guessing scores 1.000",
        "the teacher is not shown to need the question on dev (1.000 with it, 1.000 without)",
        "small is not shown to need the question on dev (1.000 with it, 1.000 without)",
        "on dev small fails once the options change places (its score falls from 1.000 to 0.000)",
        "on dev small answers by place (permuted, 100% of its answers keep their place and 0% the "
        "option)",
    ]
    assert any("not shown to be above guessing" in line for line in summary["warnings"])
    assert [line for line in summary["warnings"] if line.startswith("small")] == [
        "small takes a shortcut on dev: it fails once the options change places (its score falls "
        "from 1.000 to 0.000)",
        "small takes a shortcut on dev: it answers by place (permuted, 100% of its answers keep "
        "their place and 0% the option)",
    ]


LEARNED = ["fails once the options change places", "answers by place"]


@pytest.mark.parametrize(
    ("choose", "shortcuts"),
    [
        (lambda example: 0, ["answers by place", "gives one answer"]),
        (lambda example: int(example.id) % 3 if int(example.id) > 60 else 0, LEARNED),
        (lambda example: (example.answer + (int(example.id) % 10 > 6)) % 3, []),
        (lambda example: example.choices.index(min(example.choices)), []),
    ],
    ids=["most frequent option", "learned places", "reads", "by the wording"],
)
def test_constructed_students_are_found_out(
    choose: Any, shortcuts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On questions whose answer stands in each place equally often, by their number."""
    domain = SimpleNamespace(answer=Answer.CHOICE, aggregates=())
    found = audit_of(domain, EXAMPLES, choose, tmp_path, monkeypatch)
    assert shortcuts_of(found) == shortcuts
    assert takes_shortcut(ModelAudited(**found)) is bool(shortcuts)
    figures = audit_figures({None: ModelAudited(**found)})
    assert figures is not None
    assert figures["teacher"]["shortcuts"] == shortcuts


def test_classes_among_several_domains_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class is given at the same place each time, and rightly so."""
    kinds = {"asked": Answer.CHOICE, "mood": Answer.LABEL}
    members = [
        Member(label, cast("Any", SimpleNamespace(answer=kind, metrics=("m",), aggregates=())), {})
        for label, kind in kinds.items()
    ]
    moods = [Example(str(at), "!", at % 2, choices=("glad", "sad")) for at in range(200)]
    examples = [labelled(each, "asked") for each in EXAMPLES]
    examples += [labelled(each, "mood") for each in moods]

    def choose(example: Example) -> int:
        return int(example.answer) if example.id.startswith("asked") else 0

    found = audit_of(Union(tuple(members)), examples, choose, tmp_path, monkeypatch)
    assert found["permuted"]["agreement"] == 1.0
    assert shortcuts_of(found) == []


CHOICE = {"answer": Answer.CHOICE, "metrics": ("m",), "aggregates": ()}
EXAMPLES = [
    Example(str(at), f"{at}?", at % 3, choices=tuple(f"{word}{at}" for word in words))
    for at, words in zip(range(300), cycle(permutations("abc")), strict=False)
]


def audit_of(
    domain: Any,
    examples: list[Example],
    choose: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: Callable[[Example], list[int]] = lambda example: [3],
) -> dict[str, Any]:
    """Audit a student that chooses by a rule, to which questions read as `sources` says."""

    def constructed(
        model: Any, tokenizer: Any, rows: Rows, domain: Any, metric: str, *_: Any
    ) -> Answers:
        places = [choose(example) for example in rows.examples]
        pairs = list(zip(rows.examples, places, strict=True))
        given = [Prediction(each.id, each.choices[place], place) for each, place in pairs]
        return Answers(given, [float(each.answer == place) for each, place in pairs])

    match = SimpleNamespace(margin=0.05, retain=None, confidence=0.95, metric="accuracy")
    workspace: Any = SimpleNamespace(
        files=Folder(folder),
        parts=SimpleNamespace(domain=domain),
        assigned=SimpleNamespace(dev=examples),
        spec=SimpleNamespace(match=match),
        encoded=lambda asked, reader: Rows(
            asked, [*map(sources, asked)], [[4]] * len(asked), [], 0, []
        ),
    )
    monkeypatch.setattr("kdsearch.distill.audit.answer", constructed)
    asked = constructed(None, None, workspace.encoded(examples, None), domain, "accuracy")
    asked.write(Folder(folder), folder / "dev.jsonl")
    reader: Any = Student(None, SimpleNamespace(eos_token_id=1))
    return Audit(workspace, folder, reader).shortcuts()


def test_an_audit_asks_dev_alone_and_counts_what_it_costs(placed: Path) -> None:
    ids = {line["id"] for line in lines_of(placed / "teacher" / "dev.jsonl")}
    for name in ("permuted", "blanked"):
        answered = lines_of(placed / "trials" / "small-c0-s0" / f"{name}.jsonl")
        assert {line["id"] for line in answered} == ids
    events = [record.event for record in read(placed / "journal.jsonl")]
    audits = [event for event in events if isinstance(event, ModelAudited)]
    flops = [sum(event.flops.values()) for event in audits]
    assert len(flops) == 2
    assert min(flops) > 0
    assert summary_of(placed)["cost"]["evaluation_flops"] > sum(flops)


def test_errors_are_shown_by_group(placed: Path) -> None:
    def kd(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["results", str(placed), *arguments])

    shown = kd("--errors")
    assert shown.exit_code == 0
    said = " ".join(shown.stdout.split())
    assert "shortcut: on dev it answers by place or almost always alike, or its score" in said
    assert "fails once the options change places; answers by place" in said
    assert "option 2 100%, gold 100%" in said
    [found] = json.loads(kd("--errors", "--group", "g1", "--json").stdout)
    assert found["errors"]["small"]["both_right"] == 60
    assert found["error_items"] == {"small": []}
    assert "did you mean 'g1'?" in kd("--errors", "--group", "g11").stderr
    assert kd("--group", "g1").exit_code == 2


def test_free_answers_are_blanked_and_their_errors_written(
    tmp_path: Path, toy_spec: Path, toy_host: Host
) -> None:
    overrides = [
        *ASKED[2:7],
        "prompt={max_tokens: 16}",
        "domain={name: toy}",
        "splits={dev: 60, confirm: 60}",
    ]
    spec = load_spec(toy_spec, toy_host, [*overrides, "match={metric: accuracy, margin: 0.3}"])
    summary = run(spec, toy_host, tmp_path / "run", run_locally, force=True)
    audit = summary["shortcut_audit"]["sizes"]["small"]
    assert audit["permuted"] is None
    always_alike = audit["most_frequent"]["share"] >= ALWAYS
    assert audit["shortcuts"] == (["gives one answer"] if always_alike else [])
    assert audit["shortcut"] is (True if always_alike else None)
    assert audit["not_permuted"] == "its questions have no options"
    assert audit["aggregates"]["macro_f1"] == audit["score"]
    low, high = audit["aggregate_intervals"]["macro_f1"]
    assert low <= audit["score"] <= high
    assert high > low
    errors = summary["errors"]["small"]
    items = lines_of(tmp_path / "run" / errors["path"])
    assert len(items) == errors["items"] - errors["both_right"] > 0
    assert items[0].keys() == {
        "id",
        "mistake",
        "group",
        "question",
        "correct",
        "teacher",
        "student",
    }


def test_training_shows_a_sample_with_its_running_average(placed: Path) -> None:
    events = [record.event for record in read(placed / "journal.jsonl")]
    told = [
        event
        for event in events
        if isinstance(event, TrialProgress) and event.trial == "small-c0-s0"
    ]
    samples = [event.sample for event in told if event.sample]
    asked, shown = samples[0]["question"], message(told[0], RunState()) or ""
    assert f"\n       {asked} | correct y{asked}, teacher y{asked}, student" in shown
    assert len(samples) >= 2
    scores = [sample["score"] for sample in samples]
    assert samples[-1]["running"] == sum(scores[-25:]) / len(scores[-25:])
    last = samples[-1]
    assert last["student"] == last["correct"] == last["teacher"] == f"y{last['question']}"


def test_a_permuted_example_keeps_its_right_answer() -> None:
    example = Example("7", "Which?", 2, choices=("a", "b", "c"))
    turned = permuted(example)
    assert turned.correct == example.correct == "c"
    assert all(old != new for old, new in zip(example.choices, turned.choices, strict=True))
    assert permuted(Example("8", "Who?", "Ann")) == Example("8", "Who?", "Ann")


@pytest.mark.parametrize(
    ("question", "sources", "told"),
    [
        ("{0}?", lambda example: [3], "its prompts are the same without the question"),
        ("Which?", lambda example: [len(example.question)], "all its items ask the same question"),
        ("{0}?", lambda example: [len(example.question)], ""),
    ],
)
def test_a_question_that_says_nothing_is_not_blanked(
    question: str,
    sources: Any,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domain = SimpleNamespace(answer=Answer.CHOICE, aggregates=())
    asked = [replace(each, question=question.format(each.id)) for each in EXAMPLES]
    given = (domain, asked, lambda example: int(example.answer), tmp_path, monkeypatch)
    found = audit_of(*given, sources=sources)
    assert found["not_blanked"] == told
    assert (found["blanked"] is None) is bool(told)
    if not told:
        assert found["blanked"]["reads"] is False


def test_of_several_domains_each_is_blanked_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [
        Member(label, cast("Any", SimpleNamespace(**CHOICE)), {})
        for label in ("read", "not", "same")
    ]
    examples = [labelled(each, label) for label in ("read", "not") for each in EXAMPLES]
    examples += [labelled(replace(each, question="Which?"), "same") for each in EXAMPLES]

    def choose(example: Example) -> int:
        blind = example.id.startswith("read") and not example.question
        return 0 if blind else int(example.answer)

    given = (Union(tuple(members)), examples, choose, tmp_path, monkeypatch)
    found = audit_of(*given, sources=lambda example: [len(example.question)])
    assert found["not_blanked"] == "same: all its items ask the same question"
    domains = found["blanked"]["domains"]
    assert {label: each["reads"] for label, each in domains.items()} == {"read": True, "not": False}
    assert found["blanked"]["reads"] is False
