"""Items that are added to confirm: a session of a run that its first items did not decide."""

from __future__ import annotations

import json
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.audit import audit
from kdsearch.errors import RunError
from kdsearch.events import ConfirmOpened, ConfirmTested, RunFinished, TrialFinished
from kdsearch.local import run_locally
from kdsearch.run import add_items, resume
from kdsearch.run.item_addition import _check_worthwhile, _key
from kdsearch.run.lifecycle import begun_search, read_manifest
from kdsearch.run.prepared_search import Addition
from kdsearch.search.journal import read
from kdsearch.search.ledger import ConfirmLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdsearch.events import Event, Record

SETTINGS = (
    "teachers.0.fine_tune.max_steps=3",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses.soft_labels={weight: 1.0}",
    "search={configurations_per_size: 1, audit: false}",
    "splits={dev: 60, confirm: 60, reserve: 100}",
    "match={metric: accuracy, margin: 0.05}",
)
"""Teacher and student know nothing and agree on everything: 60 items leave a chance of .95^60 =
.046 that the student is five points worse, and the opening may spend .045."""


def events(run: Path) -> list[Event]:
    return [record.event for record in read(run / "journal.jsonl")]


@pytest.fixture
def undecided(
    kd: Callable[..., Any], run_here: None, toy_spec: Path, toy_plugin: Path, tmp_path: Path
) -> Path:
    run = tmp_path / "run"
    asked = [part for setting in SETTINGS for part in ("--set", setting)]
    ended = kd("run", toy_spec, "--plugin", toy_plugin, "--run-dir", run, "--force", *asked)
    assert (ended.exit_code, json.loads((run / "summary.json").read_text())["outcome"]) == (
        1,
        "undecided",
    )
    assert f"add items that may decide: kdsearch confirm {run} --more" in ended.stderr
    return run


def test_added_items_decide_what_the_first_ones_did_not(
    undecided: Path, kd: Callable[..., Any], run_here: None
) -> None:
    trained = [event for event in events(undecided) if isinstance(event, TrialFinished)]
    ended = kd("confirm", undecided, "--more", 80, "--json")
    assert (ended.exit_code, ended.json["outcome"]) == (0, "match")
    size = ended.json["sizes"][0]["confirm"]
    assert (size["n"], size["look"]) == (140, 2)
    assert "on 140 confirm items (look 2), bounds" in ended.json["sentence"]
    told = "confirm opened again, with items added (140 in all), for small (alpha 0.0045)"
    assert told in ended.stderr
    tests = [event for event in events(undecided) if isinstance(event, ConfirmTested)]
    assert [test.items for test in tests] == [60, 140]
    assert tests[0].alpha == pytest.approx(0.045)
    assert tests[1].alpha == pytest.approx(0.0045)
    assert 0.0045 < (tests[1].level or 0.0) < 0.045
    assert [e for e in events(undecided) if isinstance(e, TrialFinished)] == trained
    assert audit(undecided) == ([], 2)
    left = ConfirmLedger().earlier(_keys(undecided))
    assert [opening.spent for opening in left] == [0.0, 0.0]  # a match hands all of it back
    again = kd("confirm", undecided, "--more", 9)
    assert again.exit_code == 2
    assert "no size is undecided on confirm" in again.stderr
    assert kd("results", undecided).exit_code == 0


def _keys(run: Path) -> frozenset[bytes]:
    lines = (ConfirmLedger().path).read_text().splitlines()
    assert str(run) in lines[0]
    return ConfirmLedger()._openings()[0].items


def test_too_many_items_are_refused_and_lose_nothing(
    undecided: Path, kd: Callable[..., Any], run_here: None
) -> None:
    before = (undecided / "journal.jsonl").read_bytes()
    ended = kd("confirm", undecided, "--more", 500)
    assert ended.exit_code == 2
    assert "500 new confirm items are asked for, and there are 100 that" in ended.stderr
    ended = kd("confirm", undecided, "--more", 50, "--set", "train.max_steps=9")
    assert "only the options of the domain" in ended.stderr
    ended = kd("confirm", undecided)
    assert "--more" in ended.stderr
    assert (undecided / "journal.jsonl").read_bytes() == before
    assert (undecided / "summary.json").exists()


def test_items_may_come_from_other_data(
    undecided: Path, kd: Callable[..., Any], run_here: None
) -> None:
    other = ("--set", "domain.options.largest=20")
    ended = kd("confirm", undecided, "--more", 150, *other, "--json")
    assert ended.json["outcome"] == "match"
    added = (undecided / "added" / "confirm-2.jsonl").read_text().splitlines()
    asked = {json.loads(line)["question"] for line in added}
    trained = set(range(17))
    assert len(asked) == 150
    assert any({int(x) for x in q.removesuffix(" =").split(" + ")} - trained for q in asked)


def test_a_killed_look_is_finished_by_resume(undecided: Path) -> None:
    def kill(record: Record) -> None:
        if isinstance(record.event, ConfirmOpened):
            raise KeyboardInterrupt

    manifest = read_manifest(undecided)
    before, twice = begun_search(undecided, manifest), Addition(2, ["small"], ())
    with pytest.raises(KeyboardInterrupt):
        add_items(undecided, 80, run_locally, sinks=[kill])
    with pytest.raises(RunError, match="another process has opened confirm in the meantime"):
        before.carry_out(run_locally, manifest, sinks=(), resumed=True, again=twice)
    added = undecided / "added" / "confirm-2.jsonl"
    whole = added.read_text()
    added.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    with pytest.raises(RunError, match="the added items have changed since they were opened"):
        resume(undecided, run_locally)
    added.write_text(whole)
    summary = resume(undecided, run_locally)
    assert summary["outcome"] == "match"
    found = events(undecided)
    assert sum(isinstance(event, ConfirmOpened) for event in found) == 2
    assert sum(isinstance(event, RunFinished) for event in found) == 2
    assert len(ConfirmLedger()._openings()) == 2
    assert audit(undecided) == ([], 2)


def test_a_third_look_spends_less_than_the_second(
    undecided: Path, kd: Callable[..., Any], run_here: None
) -> None:
    assert kd("confirm", undecided, "--more", 2).exit_code == 1
    ended = kd("confirm", undecided, "--more", 90, "--json")
    tests = [event for event in events(undecided) if isinstance(event, ConfirmTested)]
    assert [test.look for test in tests] == [1, 2, 3]
    assert [test.alpha for test in tests] == pytest.approx([0.045, 0.0045, 0.00045])
    assert audit(undecided) == ([], 3)
    assert ended.json["sizes"][0]["confirm"]["look"] == 3


@pytest.mark.parametrize(
    ("asked", "left", "reason"),
    [
        ({"seeds": 3, "reserve": 0.1}, 0.005, r"spread of seeds \(start a new run with more"),
        ({"seeds": 1, "reserve": 0.0}, 0.05, r"match\.reserve is 0"),
        ({"seeds": 1, "reserve": 0.1}, 1e-9, r"nothing is left of the 0\.05 chance"),
    ],
)
def test_a_look_that_could_not_decide_is_refused(
    asked: dict[str, float], left: float, reason: str
) -> None:
    match = SimpleNamespace(**asked, family=None)
    search: Any = SimpleNamespace(
        spec=SimpleNamespace(match=match),
        plan=SimpleNamespace(rules=lambda: SimpleNamespace(alpha=0.05)),
        ledger=SimpleNamespace(available=lambda *asked: left, path="confirm.jsonl"),
        folder="run",
        confirm=(),
    )
    with pytest.raises(RunError, match=reason):
        _check_worthwhile(search)


def test_advice_names_the_key_of_the_last_stage_and_of_each_domain() -> None:
    one, several = SimpleNamespace(domains=()), SimpleNamespace(domains=("a", "b"))
    staged: Any = SimpleNamespace(stages=(one, several), stage=several)
    assert _key(staged, 1) == "stages.1.domains.1.options.path"
    plain: Any = SimpleNamespace(stages=(one,), stage=one)
    assert _key(plain) == "domain.options.path"


def test_a_black_box_must_answer_the_new_items_before_anything_is_written(
    kd: Callable[..., Any], run_here: None, toy_spec: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    answers, run = tmp_path / "answers.jsonl", tmp_path / "run"

    def answer(count: int) -> None:
        names = [f"{a}+{b}" for a in range(count) for b in range(count)]
        lines = [json.dumps({"id": name, "text": "none"}) for name in names]
        answers.write_text("\n".join(lines) + "\n")

    answer(17)
    teacher = f"teachers=[{{predictions: {answers}}}]"
    loss = "losses={answer_ce: {weight: 1.0, labels: teacher}}"
    settings = (teacher, loss, *SETTINGS[1:3], *SETTINGS[4:])
    asked = [part for setting in settings for part in ("--set", setting)]
    ended = kd("run", toy_spec, "--plugin", toy_plugin, "--run-dir", run, "--force", *asked)
    assert json.loads((run / "summary.json").read_text())["outcome"] == "undecided"
    manifest = read_manifest(run)
    manifest["data"]["predictions"] = sha256(answers.read_bytes()).hexdigest()
    before = (run / "journal.jsonl").read_bytes()
    old, new = json.dumps(manifest), (run / "manifest.json").read_text()
    for recorded in (old, new):  # as an earlier version did
        (run / "manifest.json").write_text(recorded)
        ended = kd("confirm", run, "--more", 150, "--set", "domain.options.largest=20")
        assert ended.exit_code == 2
        assert "items have no answer, the first is '" in ended.stderr
        assert (run / "summary.json").exists()
        assert (run / "journal.jsonl").read_bytes() == before
        assert not (run / "added").exists()
    answer(21)
    ended = kd("confirm", run, "--more", 150, "--set", "domain.options.largest=20", "--json")
    assert ended.json["sizes"][0]["confirm"]["n"] == 210
    answers.write_text(answers.read_text().replace("none", "other"))
    with pytest.raises(RunError, match="predictions differ"):
        begun_search(run, read_manifest(run)).check_data(read_manifest(run))
