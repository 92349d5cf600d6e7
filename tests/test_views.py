"""Losses that put questions in further ways, in whole runs and in faulty specs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.distill.fitting import beside
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import KdsearchError, SpecError
from kdsearch.events import TrialFinished, TrialProgress
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin import Prompt
from kdsearch.plugin.host import Host
from kdsearch.run import run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load, load_spec
from tests.test_audits import ASKED, PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GROUP = 'group=f"g{number % 2}"'
REASONS = PLUGIN.replace(GROUP, f"{GROUP}, rationale=f'it is {{number}}' if number % 3 else None")
LOSSES = (
    "losses={answer_ce: {}, soft_labels: {}, attention_relations: {}, rationale: {},"
    " anti_shortcut: {permutation: 1.0, prior: 1.0, blank: 0.5}}"
)


@pytest.fixture
def host_of(
    tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Host]:
    """Return what makes a host of a plugin's text."""
    monkeypatch.syspath_prepend(toy_plugin.parent)

    def make(text: str) -> Host:
        (tmp_path / "placed.py").write_text(text)
        return Host([tmp_path / "placed.py"])

    return make


def test_a_trial_learns_from_every_way(
    host_of: Callable[[str], Host], toy_spec: Path, tmp_path: Path
) -> None:
    host = host_of(REASONS)
    assert not host.problems
    asked = [*(line for line in ASKED if not line.startswith("losses")), LOSSES]
    spec = load_spec(toy_spec, host, asked)
    summary = run(spec, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0
    events: list[Any] = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    told = [event for event in events if isinstance(event, TrialProgress) and event.losses]
    last = [event for event in told if "baseline" not in str(event.trial)][-1]
    for name in ("rationale", "anti_shortcut", "attention_relations"):
        assert 0.0 < last.losses[f"loss_{name}"] < 10.0
    workspace, settings = Workspace(tmp_path / "run"), spec.stage.resolve({})
    student = workspace.build(workspace.size("small"), 0)
    rows = workspace.rows("train", student)
    one, again = (beside(workspace, student, settings.losses, rows) for _ in range(2))
    assert one["permuted/sources"] is again["permuted/sources"]  # made once a process
    flops = {
        event.trial: event.flops["training"] for event in events if isinstance(event, TrialFinished)
    }
    assert flops["small-c0-s0"] > 3 * flops["small-baseline-s0"]


TAUGHT = "losses={answer_ce: {}, rationale@a: {reasons: teacher}, rationale@b: {reasons: teacher}}"
MODEL = (
    "{scratch: {family: t5, d_model: 16, d_ff: 32, layers: 1, heads: 2}, fine_tune: {max_steps: 2}}"
)


def box(folder: Path, name: str, reason: str | None) -> str:
    """Write the answers of a teacher and return its part of a spec."""
    lines: list[dict[str, Any]] = [{"id": str(number), "choice": 1} for number in range(300)]
    for line in lines if reason else ():
        line["rationale"] = f"{reason} {line['id']}"
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"{{name: {name}, predictions: {file}}}"


def test_each_teacher_of_answers_gives_its_own_reasons(
    host_of: Callable[[str], Host], toy_spec: Path, tmp_path: Path
) -> None:
    boxes = f"{box(tmp_path, 'a', 'seen')}, {box(tmp_path, 'b', 'heard')}"
    host, asked = host_of(PLUGIN), [line for line in ASKED if "fine_tune" not in line]
    asked += [f"teachers=[{MODEL}, {boxes}]", TAUGHT, "train={max_steps: 3, batch_size: 8}"]
    spec = load_spec(toy_spec, host, asked)
    summary = run(spec, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0
    workspace = Workspace(tmp_path / "run")
    views = workspace.views(workspace.spec.stage.resolve({}).losses)
    example = workspace.assigned.train[0]
    told = {
        view.name: prompt.target
        for view in views
        if (prompt := view.prompt(example, lambda _: Prompt("B", "q"))) is not None
    }
    assert told == {"explain@a": f"seen {example.id}", "explain@b": f"heard {example.id}"}
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert '"loss_rationale@a"' in journal
    assert '"loss_rationale@b"' in journal


def test_one_teacher_of_answers_may_give_reasons(
    host_of: Callable[[str], Host], toy_spec: Path, tmp_path: Path
) -> None:
    host, asked = host_of(PLUGIN), [line for line in ASKED if "fine_tune" not in line]
    losses = "losses={answer_ce: {labels: teacher}, rationale: {reasons: teacher}}"
    asked += [f"teachers=[{box(tmp_path, 'a', 'seen')}]", losses, "train={max_steps: 3}"]
    summary = run(load_spec(toy_spec, host, asked), host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0


@pytest.mark.parametrize(
    ("reason", "losses", "told"),
    [
        (None, "rationale@a: {reasons: teacher}", "a.jsonl: no line of train has a rationale"),
        ("x", "rationale@0: {reasons: teacher}", "teacher '0' is a model, of which none are known"),
        ("x", "rationale: {reasons: teacher}", "needs rationale, which 2 teachers have not in"),
    ],
)
def test_reasons_that_nobody_gives_are_refused(
    host_of: Callable[[str], Host],
    toy_spec: Path,
    tmp_path: Path,
    reason: str | None,
    losses: str,
    told: str,
) -> None:
    host, asked = host_of(PLUGIN), [line for line in ASKED if "fine_tune" not in line]
    asked += [f"teachers=[{MODEL}, {box(tmp_path, 'a', reason)}]"]
    with pytest.raises(KdsearchError, match=told):
        make_plan(
            load_spec(toy_spec, host, [*asked, f"losses={{answer_ce: {{}}, {losses}}}"]), host
        )


@pytest.mark.parametrize(
    ("losses", "plugin", "told"),
    [
        (
            "anti_shortcut: {}",
            PLUGIN.replace("Answer.CHOICE", "Answer.LABEL"),
            "losses.anti_shortcut: 'permuted' changes questions of domain 'placed', and its "
            "answers are classes",
        ),
        (
            "anti_shortcut: {permutation: 0, blank: 1}",
            PLUGIN.replace("Answer.CHOICE", "Answer.TEXT"),
            "losses.anti_shortcut: 'blank' changes questions of domain 'placed', and its questions "
            "have no options",
        ),
        (
            "anti_shortcut: {permutation: 0, prior: 1}",
            PLUGIN.replace("Answer.CHOICE", "Answer.TEXT"),
            "loss 'anti_shortcut' compares options, and domain 'placed' has none",
        ),
        (
            "anti_shortcut: {permutation: 0}",
            PLUGIN,
            "give one of prior, permutation, blank a weight above 0",
        ),
        (
            "rationale: {}",
            PLUGIN,
            "losses.rationale: 'explain' asks for a rationale, and no training question of domain "
            "'placed' has that (leave the loss out, or use data that have it)",
        ),
    ],
)
def test_questions_that_cannot_be_put_so_are_refused_at_the_loss(
    host_of: Callable[[str], Host],
    toy_spec: Path,
    tmp_path: Path,
    losses: str,
    plugin: str,
    told: str,
) -> None:
    host, file = host_of(plugin), tmp_path / "spec.yaml"
    text = toy_spec.read_text(encoding="utf8").replace("{name: toy}", "{name: placed}")
    file.write_text(text.replace("  answer_ce: {weight: 1.0}", f"  {losses}"), encoding="utf8")

    def planned() -> None:
        loaded = load(file, host, ["prompt.max_tokens=40"])
        with loaded.origin.placed():
            make_plan(loaded.spec, host)

    with pytest.raises(SpecError) as raised:
        planned()
    assert str(raised.value).startswith(f"{file}:15:")
    assert told in str(raised.value)
