"""Runs whose students go through several stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.audit import audit
from kdsearch.distill import fitting, jobs
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import DataError, SpecError
from kdsearch.events import TeacherReady, TrialFinished, TrialProgress, TrialStarted
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin.host import Host
from kdsearch.report.rows import notes
from kdsearch.run import resume, run
from kdsearch.search.journal import read
from kdsearch.sizes import texts_of
from kdsearch.spec.loading import load_spec
from kdsearch.spec.record import read_record
from kdsearch.stages import earlier_train

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from kdsearch.spec.models import SearchSpec

SPECS = Path(__file__).parents[1] / "specs"

STAGES = """
name: staged
stages:
  - domain: {name: toy}
    splits: {dev: 60, confirm: 120}
    teachers:
      - {name: own, scratch: {family: t5, d_model: 16, d_ff: 16, layers: 1, heads: 2},
         fine_tune: {max_steps: 2, batch_size: 8}}
    losses: {answer_ce: {}, soft_labels: {weight: {choice: [0.5, 1.0]}}}
    train: {max_steps: 2, batch_size: 8, learning_rate: {loguniform: [1e-4, 1e-2]}}
  - domain: {name: larger}
    splits: {train: 200, dev: 40, confirm: 60}
    teachers:
      - scratch: {family: t5, d_model: 16, d_ff: 16, layers: 1, heads: 2}
        fine_tune: {max_steps: 2, batch_size: 8}
    losses: {answer_ce: {}, soft_labels: {}}
    train: {max_steps: 3, batch_size: 8, learning_rate: {loguniform: [1e-4, 1e-2]}, evaluations: 3}
ladder: {kind: scratch, family: t5, sizes: {tiny: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}}
search: {configurations_per_size: 1, audit: false, strategy: descend}
match: {metric: accuracy, margin: 0.9}
prompt: {max_tokens: 16}
"""


@pytest.fixture
def spec(tmp_path: Path, toy_host: Host) -> Callable[..., SearchSpec]:
    """Return a maker of specs of two stages."""
    file = tmp_path / "staged.yaml"
    file.write_text(STAGES)
    return lambda *overrides: load_spec(file, toy_host, overrides)


@pytest.fixture
def search(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run the search with overrides in a folder of that name."""

    def call(name: str, *overrides: str) -> dict[str, Any]:
        return run(spec(*overrides), toy_host, tmp_path / name, run_locally, force=True)

    return call


def events(folder: Path, kind: Any) -> list[Any]:
    told = [record.event for record in read(folder / "journal.jsonl")]
    return [event for event in told if isinstance(event, kind)]


def weights(folder: Path, trial: str) -> Tensor:
    stored = load_file(folder / "trials" / trial / "student" / "model.safetensors")
    return torch.cat([stored[name].flatten() for name in sorted(stored)])


def test_each_trial_goes_through_all_stages(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    summary = search("run")
    assert summary["trials"] == {"finished": 2, "stopped": 0, "failed": 0}
    assert audit(folder) == ([], 1)
    for trial in ("tiny-baseline-s0", "tiny-c0-s0"):
        told = [event for event in events(folder, TrialProgress) if event.trial == trial]
        assert [event.stage for event in told] == sorted(event.stage for event in told)
        assert {event.total_steps for event in told} == {5}
        assert (told[0].step, told[0].stage) == (1, 0)
        assert (told[-1].step, told[-1].stage) == (5, 1)
        assert {event.step for event in told if event.score is not None} == {3, 4, 5}
        assert "loss_soft_labels" in told[0].losses
    baseline = [e for e in events(folder, TrialProgress) if e.trial == "tiny-baseline-s0"]
    assert "loss_soft_labels" not in baseline[-1].losses


def test_a_stage_that_stops_early_counts_for_the_steps_it_did(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    stopping = "early_stopping: {on: loss, patience: 1, min_delta: 100}"  # no gain is enough
    first = f"{{max_steps: 9, batch_size: 8, learning_rate: 1e-2, evaluations: 9, {stopping}}}"
    summary = search("run", f"stages.0.train={first}")
    finished = events(tmp_path / "run", TrialFinished)
    for event in finished:
        assert 2 + 3 <= event.step < event.total_steps == 9 + 3
        assert event.kept_step == event.step  # of the last stage
        assert event.ended.startswith("the validation loss has turned away")
    share = sum(event.step / event.total_steps for event in finished) / len(finished)
    assert summary["cost"]["share_of_grid"] == pytest.approx(share)


def test_stages_follow_each_other_in_one_student(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    search("both")
    search("more", "stages.0.train.max_steps=3")
    both, more = (weights(tmp_path / name, "tiny-c0-s0") for name in ("both", "more"))
    assert not both.equal(more)
    [drawn] = [
        event.config for event in events(tmp_path / "both", TrialStarted) if event.index == 0
    ]
    assert set(drawn) == {
        "stages.0.train.learning_rate",
        "stages.0.losses.soft_labels.weight",
        "stages.1.train.learning_rate",
    }
    assert drawn["stages.0.train.learning_rate"] != drawn["stages.1.train.learning_rate"]


def test_the_cost_is_that_of_all_stages_and_their_teachers(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    search("run", "cache.mode=online")
    workspace = Workspace(folder)
    first, last = workspace.at(0), workspace
    student = last.build(last.size("tiny"), 0)
    settings = last.whole.resolve(
        next(e.config for e in events(folder, TrialStarted) if e.index == 0)
    )
    tokens = [
        fitting.tokens_trained(work.rows("train", student), own.training)
        for work, own in ((first, settings.earlier[0]), (last, settings))
    ]
    [finished] = [event for event in events(folder, TrialFinished) if event.index == 0]
    compute = 6.0 * workspace.size("tiny").compute_parameters
    assert finished.flops["training"] == pytest.approx(compute * sum(tokens))
    beside = [2.0 * each.teachers[0].facts.compute_parameters for each in (first, last)]
    assert finished.flops["teacher"] == pytest.approx(
        sum(each * read for each, read in zip(beside, tokens, strict=True))
    )
    [ready] = events(folder, TeacherReady)
    own = ready.others["stages.0.own"]
    assert (own["score"], own["items"]) == (None, 0)
    assert ready.flops["fine_tune"] > own["flops"]["fine_tune"] > 0.0


def test_the_plan_counts_all_stages(spec: Callable[..., SearchSpec], toy_host: Host) -> None:
    plan = make_plan(spec(), toy_host)
    alone = make_plan(spec("stages.0.train.max_steps=1"), toy_host)
    assert plan.steps == 2 * (2 + 3)
    assert plan.grid_flops > alone.grid_flops
    first, last = plan.to_json()["stages"]
    assert (first["domain"], first["train"], first["steps"]) == ("toy", 289 - 180, 2)
    assert (last["domain"], last["train"], last["steps"]) == ("larger", 200, 3)
    assert plan.teacher_flops == pytest.approx(first["teacher_flops"] + last["teacher_flops"])


def test_a_killed_run_goes_on_in_the_second_stage(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search("whole")
    real = jobs.perform

    def killed(job: Any, report: Any) -> dict[str, Any]:
        def told(progress: Any) -> None:
            if job["kind"] == "train" and progress.get("stage") == 1:
                raise KeyboardInterrupt
            report(progress)

        return real(job, told)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "perform", killed)
        with pytest.raises(KeyboardInterrupt):
            search("run")
    summary = resume(tmp_path / "run", run_locally)
    assert summary["sizes"] == whole["sizes"]
    assert weights(tmp_path / "run", "tiny-c0-s0").equal(weights(tmp_path / "whole", "tiny-c0-s0"))


def test_what_decides_is_trained_on_in_no_stage(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> None:
    found = spec(
        "stages.0.domain={name: toy, options: {largest: 20}}",
        "stages.1.domain={name: toy}",
        "stages.1.splits={dev: 60, confirm: 120}",
    )
    run(found, toy_host, tmp_path / "run", run_locally, force=True)
    first, last = Workspace(tmp_path / "run").at(0), Workspace(tmp_path / "run")
    kept = {example.id for split in (last.assigned.dev, last.assigned.confirm) for example in split}
    trained = {example.id for example in first.assigned.train}
    assert len(kept) == 180
    assert not trained & kept
    read = earlier_train(last.whole, 0, first.parts, last.assigned)
    assert read.left_out > 0
    assert any(
        f"{read.left_out} training questions" in w for w in make_plan(found, toy_host).warnings
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages.0.domain={name: larger}"],
         "stages.0.splits: the last stage divides domain 'larger' otherwise"),
        (["stages.0.teachers=[]"],
         "loss 'soft_labels' needs top_logits of a teacher, and the stage names no teachers"),
        (["stages.1.teachers=[]"], "stages.1.teachers: needs at least 1, not []"),
        (["stages.0.losses={hidden: {}}"], "unknown loss 'hidden'"),
        (["stages.0.losses={answer_ce: {}, hidden_mse@other: {}}"],
         "loss 'hidden_mse@other' names no teacher: allowed: own"),
        (["stages.0.train.early_stopping={}", "stages.0.train.evaluations=3"],
         "stages.0.train.early_stopping: dev is read in the last stage alone: set on: loss"),
        (["stages.0.train.max_step=1"], "unknown key 'max_step' in stages.0.train"),
    ],
)  # fmt: skip
def test_a_fault_of_a_stage_is_told_at_its_line(
    spec: Callable[..., SearchSpec], overrides: list[str], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        spec(*overrides)
    assert message in str(caught.value)


def test_layers_out_of_range_are_told_of_their_stage(
    spec: Callable[..., SearchSpec], toy_host: Host
) -> None:
    losses = "stages.0.losses={answer_ce: {}, hidden_mse: {layers: [[1, 9]]}}"
    with pytest.raises(SpecError, match=r"stages.0.losses.hidden_mse"):
        make_plan(spec(losses), toy_host)


def test_the_spec_of_two_stages_runs(tmp_path: Path) -> None:
    short = [
        "stages.0.train={max_steps: 2, batch_size: 8}",
        "stages.1.train={max_steps: 2, batch_size: 8}",
        "stages.1.teachers.0.fine_tune={max_steps: 2, batch_size: 8}",
        *(f"stages.{place}.splits={{train: 60, dev: 40, confirm: 40}}" for place in (0, 1)),
        "ladder.sizes={7k: {d_model: 16, d_kv: 4, d_ff: 32, layers: 1, heads: 2}}",
        "match.margin=0.9",
    ]
    host = Host()
    found = load_spec(SPECS / "two-stages.yaml", host, short)
    summary = run(found, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0
    assert summary["selected"]["size"] == "7k"
    card = (tmp_path / "run" / "students" / "7k" / "README.md").read_text()
    assert "It learned `arithmetic` before." in card
    assert any("without the teacher in the last stage" in line for line in notes(summary))
    assert "| `stage 0` | answer_ce, 2 steps |" in card
    student = read_record(tmp_path / "run" / "students" / "7k")
    assert student is not None
    assert [each.domain.options for each in student.before] == [{"seed": 1}]
    assert student.before[0].splits == student.splits
    written = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(written["spec"]["stages"]) == 2


def test_a_domains_vocabulary_is_that_of_all_stages(
    spec: Callable[..., SearchSpec], toy_host: Host
) -> None:
    plan = make_plan(spec(), toy_host)
    trains = [list(stage.parts.domain.load(stage.parts.options))[:9] for stage in plan.stages]
    texts = texts_of(plan.spec, plan.parts, plan.teacher, trains)
    assert {"0 + 8 =", "8", "008", "0"} <= set(texts)
    with pytest.raises(DataError, match=r"domain 'toy'.*not there"):
        texts_of(plan.spec, plan.parts, plan.teacher, [None, trains[1]])
