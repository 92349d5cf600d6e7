"""Faults that scores do not show, planted in whole runs: no exit code 0 without a reason given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.audit import audit as benchmark
from kdsearch.errors import RunError
from kdsearch.evaluation import find_model
from kdsearch.events import TrialProgress
from kdsearch.local import run_locally
from kdsearch.plugin.host import Host
from kdsearch.report.messages import message
from kdsearch.report.page import render
from kdsearch.report.rows import notes, size_rows
from kdsearch.report.state import RunState
from kdsearch.run import run
from kdsearch.search.journal import read
from kdsearch.search.summary import exit_code
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLUGIN = """
from random import Random
from toy_domain import *
from kdsearch.plugin.choices import choice_prompt, choice_scores

COLOURS = ("red", "blue", "green", "grey")

class Faults(Options):
    random_labels: bool = False

class Colours(Toy):
    "Names the colour that the question begins with."
    name, answer, aggregates, Options = "colours", Answer.LABEL, (), Faults

    def load(self, options):
        random = Random(0)
        for number in range(700):
            answer, split = number % 4, "test" if number >= 400 else "train"
            asked = f"{COLOURS[answer]} {number}"
            if options.random_labels and split == "test":
                answer = random.randrange(4)
            yield Example(str(number), asked, answer, choices=COLOURS, split=split)

    def format(self, example, options):
        return Prompt(text=example.question, target=example.correct, choices=COLOURS)

    def score(self, predictions, examples):
        return choice_scores(predictions, examples)

class Marked(Colours):
    "The right option is marked; the question says nothing."
    name, answer, Options = "marked", Answer.CHOICE, Faults

    def load(self, options):
        for number in range(700):
            answer, split = (number * 7 // 3) % 3, "test" if number >= 400 else "train"
            words = tuple("yes" if place == answer else "no" + "nxy"[place] for place in range(3))
            yield Example(str(number), f"{number}?", answer, choices=words, split=split)

    def format(self, example, options):
        yes = "abc"[example.choices.index("yes")]
        return Prompt(text=f"{example.question} {yes}", target=yes, choices=tuple("abc"))

@hookimpl
def kdsearch_domains():
    return [Colours(), Marked()]
"""
ASKED = (
    "splits={train: official:train, dev: 60, confirm: official:test}",
    "teachers.0.fine_tune={max_steps: 60, batch_size: 16, learning_rate: 2e-2}",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 2e-2, batch_size: 16, max_steps: 60}",
    "losses={answer_ce: {}, soft_labels: {}}",
    "search={configurations_per_size: 1}",
    "match={metric: accuracy, margin: 0.1}",
    "prompt={max_tokens: 20}",
)


@pytest.fixture
def search(
    tmp_path: Path, toy_spec: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run a short search on a domain with a fault."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "faults.py").write_text(PLUGIN)
    host = Host([tmp_path / "faults.py"])

    def call(domain: str, *overrides: str, force: bool = False) -> dict[str, Any]:
        spec = load_spec(toy_spec, host, [*ASKED, f"domain={domain}", *overrides])
        return run(spec, host, tmp_path / "run", run_locally, force=force)

    return call


def test_a_sound_run_ends_in_a_plain_match(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdsearch.distill.phases.SECONDS_BETWEEN_REPORTS", 0.0)
    summary = search("{name: colours}")
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    told = [event for event in events if isinstance(event, TrialProgress) and event.phase]
    assert {(event.phase, event.trial, event.done, event.of) for event in told} >= {
        ("dev", None, 60, 60),
        ("signals", None, 400 - 60, 400 - 60),
        ("dev", "small-c0-s0", 60, 60),
        ("confirm", "small-c0-s0", 300, 300),
    }
    assert {event.step for event in told if event.phase == "signals"} == {60}
    assert (summary["outcome"], exit_code(summary)) == ("match", 0)
    assert summary["selected"]["withheld"] == summary["sizes"][0]["withheld"] == []
    assert summary["teacher"]["confirm_check"]["reliable"]
    assert summary["warnings"] == []
    assert summary["sentence"].endswith("it is the only size of the ladder.")


RANDOM = "{name: colours, options: {random_labels: true}}"


def test_random_labels_in_confirm_are_unreliable_data(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search(RANDOM)
    assert (summary["outcome"], exit_code(summary)) == ("unreliable_data", 1)
    assert summary["selected"] is None
    assert summary["sizes"][0]["confirm"] is None
    assert not list((tmp_path / "run").glob("students/*"))
    score = summary["teacher"]["confirm"]["score"]
    assert summary["sentence"].startswith(
        f"Unreliable data: the teacher scores 1.000 on dev and {score:.3f} on confirm, further "
        "apart than the 10.0 points that a match may lose, where guessing scores 0.250; no student "
        "was tested. Check the labels of confirm"
    )
    shown = shown_at(tmp_path / "run")
    assert f"teacher on confirm: {score:.3f} on 300 items" in shown
    assert "; unreliable: the teacher scores 1.000 on dev" in shown
    assert benchmark(tmp_path / "run") == ([], 0)


@pytest.mark.slow
def test_random_labels_by_force_are_a_match_that_says_so(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search(RANDOM, "match.margin=0.2", force=True)
    assert (summary["outcome"], exit_code(summary)) == ("match", 0)
    [reason] = summary["selected"]["withheld"]
    assert reason.startswith("the teacher scores 1.000 on dev and")
    assert summary["sentence"].endswith(f" Beware, a match by --force: {reason}.")
    assert f"the search went on by --force: {reason}" in summary["warnings"]


@pytest.mark.parametrize("force", [False, True])
def test_a_question_that_nobody_reads_withholds_the_match(
    search: Callable[..., dict[str, Any]], force: bool, tmp_path: Path
) -> None:
    summary = search("{name: marked}", force=force)
    outcome, code, mark = ("match", 0, "forced") if force else ("withheld", 1, "withheld")
    assert (summary["outcome"], exit_code(summary)) == (outcome, code)
    reasons = [
        f"{who} is not shown to need the question on dev (1.000 with it, 1.000 without)"
        for who in ("the teacher", "small")
    ]
    assert summary["selected"]["withheld"] == summary["sizes"][0]["withheld"] == reasons
    assert "; ".join(reasons) in summary["sentence"]
    assert size_rows(summary)[1].verdict_text == f"match ({mark})"
    assert any(note.startswith(f"{mark}: a match by its scores") for note in notes(summary))
    assert not any("shortcuts were not looked for" in line for line in summary["warnings"])
    card = (tmp_path / "run" / "students" / "small" / "README.md").read_text()
    told = "The match was declared by `--force`, although" if force else "The match is withheld:"
    assert f"It matches its teacher. {told} {'; '.join(reasons)}." in card
    outcome_text = "match" if force else "match withheld"
    page = render(summary, read(tmp_path / "run" / "journal.jsonl"))
    assert f"{outcome_text}</span>" in page
    assert reasons[0] in page
    faults, tested = benchmark(tmp_path / "run")
    assert (tested, [fault for fault in faults if "outcome" in fault or "selects" in fault]) == (
        1,
        [],
    )
    if force:
        assert find_model(tmp_path / "run").name == "small"
    else:
        with pytest.raises(RunError, match=r"withheld its match: the teacher.*--size small"):
            find_model(tmp_path / "run")
        assert find_model(tmp_path / "run", "small").name == "small"


def test_without_an_audit_the_match_says_that_nothing_was_looked_for(
    search: Callable[..., dict[str, Any]],
) -> None:
    summary = search("{name: marked}", "search.audit=false")
    assert (summary["outcome"], exit_code(summary)) == ("match", 0)
    [warning] = summary["warnings"]
    assert warning.startswith("shortcuts were not looked for, and no question was blanked")


def test_a_margin_beyond_the_lead_over_guessing_trains_no_student(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search("{name: colours}", "match.margin=0.8")
    assert (summary["outcome"], exit_code(summary)) == ("insensitive_margin", 1)
    assert [size["verdict"] for size in summary["sizes"]] == ["not_visited"]
    assert not (tmp_path / "run" / "trials").exists()
    assert summary["warnings"] == []
    teacher = tmp_path / "run" / "teacher"
    assert {file.name for file in teacher.iterdir()} >= {"dev.jsonl", "model"}
    assert not list(teacher.glob("signals*"))
    assert not (teacher / "training").exists()
    assert summary["sentence"] == (
        "Insensitive margin: a student may lose 80.0 points and match, and the teacher is only "
        "75.0 points above guessing on dev (1.000 against 0.250), so one that knows nothing would "
        "match; match.margin must be below 0.75, or go on by --force."
    )


@pytest.mark.slow
def test_forced_past_the_margin_the_match_is_flagged(
    search: Callable[..., dict[str, Any]],
) -> None:
    summary = search("{name: colours}", "match.margin=0.8", force=True)
    assert (summary["outcome"], exit_code(summary)) == ("match", 0)
    assert "only 75.0 points above guessing on dev" in summary["selected"]["withheld"][0]
    assert any(line.startswith("the search went on by --force:") for line in summary["warnings"])


def shown_at(folder: Path) -> str:
    """What a terminal showed."""
    state, told = RunState(), []
    for record in read(folder / "journal.jsonl"):
        state.apply(record)
        told.append(message(record.event, state) or "")
    return "\n".join(told)
