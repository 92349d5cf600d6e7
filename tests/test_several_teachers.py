"""Runs with several teachers: combined, apart, and one of them left out by a setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.audit import audit
from kdsearch.distill import fitting
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import SpecError
from kdsearch.events import TeacherReady, TrialFinished, TrialProgress
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin.host import Host
from kdsearch.report.messages import message
from kdsearch.report.plans import plan_lines
from kdsearch.report.rows import closing
from kdsearch.run import resume, run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from kdsearch.spec.models import SearchSpec

SPECS = Path(__file__).parents[1] / "specs"
MEASURES = "family: t5, d_model: 16, d_ff: 32, layers: 1, heads: 2"
TUNED = "fine_tune: {max_steps: 3, batch_size: 8, learning_rate: 5e-3}"
SMALL = f"{{name: small, scratch: {{{MEASURES}}}, {TUNED}, weight: 3}}"
LARGE = f"{{name: large, scratch: {{{MEASURES.replace('16', '24')}}}, {TUNED}}}"
TWO = f"teachers=[{LARGE}, {SMALL}]"
SHORT = (
    TWO,
    "ladder.sizes={tiny: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}",
    "train={learning_rate: 1e-3, max_steps: 3, batch_size: 8}",
    "losses={answer_ce: {}, soft_labels: {temperature: 2}}",
    "search={configurations_per_size: 1, audit: false, strategy: descend}",
    "match={metric: accuracy, margin: 0.9}",
)
"""Nothing is learnt, and everything within 90 points of the first teacher matches it."""


@pytest.fixture
def spec(toy_spec: Path, toy_host: Host) -> Callable[..., SearchSpec]:
    return lambda *overrides: load_spec(toy_spec, toy_host, [*SHORT, *overrides])


@pytest.fixture
def search(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run the short search with overrides in a folder of that name."""

    def call(name: str, *overrides: str) -> dict[str, Any]:
        return run(spec(*overrides), toy_host, tmp_path / name, run_locally, force=True)

    return call


def losses(folder: Path) -> set[str]:
    """Return the names of the terms that the distilled trial reported."""
    events = [record.event for record in read(folder / "journal.jsonl")]
    told = [event for event in events if isinstance(event, TrialProgress)]
    return {name for event in told if event.trial == "tiny-c0-s0" for name in event.losses}


def last_losses(folder: Path) -> dict[str, float]:
    """Return what the distilled trial reported last."""
    events = [record.event for record in read(folder / "journal.jsonl")]
    told = [event for event in events if isinstance(event, TrialProgress) and event.losses]
    return dict([event for event in told if event.trial == "tiny-c0-s0"][-1].losses)


def weights(folder: Path) -> Tensor:
    """Return all weights of the distilled student, in one row."""
    stored = load_file(folder / "trials" / "tiny-c0-s0" / "student" / "model.safetensors")
    return torch.cat([stored[name].flatten() for name in sorted(stored)])


def ready(folder: Path) -> TeacherReady:
    events = [record.event for record in read(folder / "journal.jsonl")]
    return next(event for event in events if isinstance(event, TeacherReady))


EVERY = "losses={answer_ce: {}, soft_labels: {temperature: 2}, hidden_mse@small: {}}"


@pytest.mark.parametrize("top_k", [pytest.param(None, marks=pytest.mark.slow), 16])
def test_stored_and_online_teachers_train_alike(
    search: Callable[..., dict[str, Any]], tmp_path: Path, top_k: int | None
) -> None:
    for mode in ("cached", "online"):
        summary = search(mode, EVERY, f"cache={{mode: {mode}, top_k: {json.dumps(top_k)}}}")
        assert summary["trials"] == {"finished": 2, "stopped": 0, "failed": 0}
        assert audit(tmp_path / mode) == ([], 1)
    stored, online = (weights(tmp_path / mode) for mode in ("cached", "online"))
    torch.testing.assert_close(stored, online, atol=1e-6, rtol=1e-5)
    assert "loss_hidden_mse@small" in losses(tmp_path / "cached")


def test_all_teachers_are_counted_and_shown(
    search: Callable[..., dict[str, Any]], tmp_path: Path, toy_host: Host
) -> None:
    summary = search("run", "cache.mode=online")
    event = ready(tmp_path / "run")
    small = event.others["small"]
    assert list(event.others) == ["small"]
    assert event.flops["fine_tune"] > small["flops"]["fine_tune"] > 0.0
    assert summary["teacher"]["others"]["small"]["score"] == small["score"]
    workspace = Workspace(tmp_path / "run")
    computes = [each.facts.compute_parameters for each in workspace.teachers.values()]
    finished = [
        record.event
        for record in read(tmp_path / "run" / "journal.jsonl")
        if isinstance(record.event, TrialFinished)
    ]
    beside = {event.index: event.flops["teacher"] for event in finished}
    assert beside[None] == 0.0
    tokens = fitting.tokens_trained(
        workspace.rows("train", workspace.load_teacher("large")),
        workspace.spec.stage.resolve({}).training,
    )
    assert beside[0] == pytest.approx(2.0 * sum(computes) * tokens)
    assert "small" in message_of(event)
    plan = make_plan(workspace.spec, toy_host)
    lines = dict(plan_lines(plan.to_json()))
    assert lines["teachers"] == (
        "large (students are compared with it), small (weight 3); combined by mean"
    )
    shares = {each["name"]: each["flops"] for each in plan.to_json()["teachers"]}
    assert plan.teacher_flops == pytest.approx(sum(shares.values()))
    assert shares["small"] > 0.0


def message_of(event: TeacherReady) -> str:
    from kdsearch.report.state import RunState

    return str(message(event, RunState()))


def test_one_setting_makes_several_teachers_one(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    search("several", EVERY)
    search("one", EVERY, "teachers.1.weight=0")
    search("alone", f"teachers=[{LARGE}]")
    assert weights(tmp_path / "one").equal(weights(tmp_path / "alone"))
    assert not weights(tmp_path / "several").equal(weights(tmp_path / "alone"))
    assert not (tmp_path / "one" / "teachers").exists()
    assert not ready(tmp_path / "one").others


def test_the_first_teacher_decides_though_it_does_not_teach(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    search("second", "teachers.0.weight=0")
    search("alone", f"teachers=[{LARGE}]")
    one, other = (ready(tmp_path / name) for name in ("second", "alone"))
    assert (one.score, one.model) == (other.score, other.model)
    assert not weights(tmp_path / "second").equal(weights(tmp_path / "alone"))
    stores = json.loads((tmp_path / "second" / "teacher" / "signals.json").read_text())["stores"]
    assert list(stores) == ["small"]


def test_who_is_right_counts_alone(search: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    search("run", "combine=correctness", "domain.name=overlapping", "match.metric=overlap")
    workspace = Workspace(tmp_path / "run")
    staff, examples = workspace.staff, workspace.assigned.train
    scores = [
        workspace.parts.domain.score([t.taught[e.id] for e in examples], examples).per_item[
            "overlap"
        ]
        for t in staff.teachers
    ]
    assert any(map(any, scores))
    for shares, large, small in zip(staff.weights(examples), *scores, strict=True):
        right = [large, 3 * small] if large or small else [1, 3]
        assert shares == pytest.approx([each / sum(right) for each in right])


def test_a_run_by_correctness_is_resumed(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search("run", "combine=correctness")
    (tmp_path / "run" / "summary.json").unlink()
    assert resume(tmp_path / "run", run_locally)["sizes"] == summary["sizes"]


def test_separate_terms_match_layers_of_each(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    terms = "losses={answer_ce: {}, hidden_mse: {}, soft_labels@small: {}}"
    summary = search("run", "combine=separate", terms)
    assert summary["trials"]["failed"] == 0
    assert {"loss_hidden_mse", "loss_soft_labels@small"} <= losses(tmp_path / "run")


def test_a_black_box_and_a_model_teach_by_answers(
    search: Callable[..., dict[str, Any]], tmp_path: Path, toy_host: Host
) -> None:
    file = tmp_path / "answers.jsonl"
    examples = list(toy_host.domain("toy").load(toy_host.domain("toy").Options()))
    file.write_text("".join(json.dumps({"id": e.id, "text": "7"}) + "\n" for e in examples))
    search(
        "run",
        f"teachers=[{LARGE}, {{name: box, predictions: {file}, weight: 2}}]",
        "losses={answer_ce: {labels: teacher}, soft_labels@large: {}}",
    )
    workspace = Workspace(tmp_path / "run")
    assert {answer.text for answer in workspace.taught.values()} == {"7"}
    box = ready(tmp_path / "run").others["box"]
    assert (box["parameters"], box["items"]) == (None, 60)


def test_a_teacher_of_other_tokens_teaches_by_answers_alone(
    spec: Callable[..., SearchSpec],
    toy_host: Host,
    search: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    search("first", f"teachers=[{LARGE}]")
    model = tmp_path / "first" / "teacher" / "model"
    (model.parent / "training").mkdir()  # the user's own
    tokens = json.loads((model / "tokenizer.json").read_text())
    vocabulary = tokens["model"]["vocab"]
    vocabulary["0"], vocabulary["1"] = vocabulary["1"], vocabulary["0"]
    (model / "tokenizer.json").write_text(json.dumps(tokens))
    other = f"teachers=[{LARGE}, {{name: other, model: {model}}}]"
    with pytest.raises(
        SpecError, match="teacher 'other' has another tokenizer than the first"
    ) as no:
        make_plan(spec(other), toy_host)
    assert "name one that shares it (soft_labels@large), or set teachers.1.weight: 0" in str(
        no.value
    )
    make_plan(spec(other, "teachers.1.weight=0"), toy_host)
    summary = search("run", other, "losses={answer_ce: {labels: teacher}, soft_labels@large: {}}")
    assert summary["trials"]["failed"] == 0
    compared = "losses={answer_ce: {labels: teacher}, soft_labels@large: {}, uld@other: {}}"
    found = {}
    for mode in ("cached", "online"):
        summary = search(mode, other, compared, f"cache.mode={mode}")
        assert summary["trials"]["failed"] == 0
        found[mode] = last_losses(tmp_path / mode)
    assert found["cached"] == pytest.approx(found["online"], abs=1e-4)
    assert found["cached"]["loss_uld@other"] > 0.0
    assert (model.parent / "training").exists()


def test_the_spec_of_two_teachers_runs(tmp_path: Path) -> None:
    short = [f"teachers.{place}.fine_tune={{max_steps: 2, batch_size: 8}}" for place in (0, 1)] + [
        "splits={train: 60, dev: 40, confirm: 40}",
        "ladder.sizes={7k: {d_model: 16, d_kv: 4, d_ff: 32, layers: 1, heads: 2}}",
        "train={max_steps: 2, batch_size: 8}",
        "match.margin=0.9",
    ]
    host = Host()
    found = load_spec(SPECS / "two-teachers.yaml", host, short)
    summary = run(found, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"] == {"finished": 2, "stopped": 0, "failed": 0}
    assert list(summary["teacher"]["others"]) == ["narrow"]
    told = dict(closing(summary))["teachers"]
    assert told.startswith("students are compared with scratch t5 alone; others: narrow (dev 0.")
    card = (tmp_path / "run" / "students" / "7k" / "README.md").read_text()
    assert "It was taught by narrow too." in card
