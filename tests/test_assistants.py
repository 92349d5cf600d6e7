"""A student of one run is the teacher of the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file, save_file

from benchmarks.audit import audit
from kdsearch.errors import DamagedFileError, ModelError, RunError, SpecError
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.run import resume, run
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.plugin.host import Host
    from kdsearch.spec.models import SearchSpec

SHORT = (
    "ladder.sizes={middle: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "teachers.0.fine_tune.max_steps=3",
    "train={learning_rate: 1e-3, max_steps: 3, batch_size: 8}",
    "losses={answer_ce: {}, soft_labels: {}, hidden_mse: {}}",
    "search={configurations_per_size: 1, audit: false, strategy: descend}",
    "match={metric: accuracy, margin: 0.9}",
)
ASSISTED = (
    *SHORT[2:],
    "teachers=[{run: runs/first, size: middle}]",
    "ladder.sizes={tiny: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}",
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, toy_spec: Path, toy_host: Host) -> Path:
    """Return the folder of a run with one student."""
    folder = tmp_path_factory.mktemp("assistants") / "first"
    run(load_spec(toy_spec, toy_host, SHORT), toy_host, folder, run_locally, force=True)
    return folder


@pytest.fixture
def spec(
    first: Path, tmp_path: Path, toy_spec: Path, toy_host: Host, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SearchSpec]:
    """Return a maker of specs whose teacher is that student, named relative to where one stands."""
    shutil.copytree(first, tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    return lambda *overrides: load_spec(toy_spec, toy_host, [*ASSISTED, *overrides])


def test_a_student_teaches_the_next_run_wherever_that_is_resumed(
    spec: Callable[..., SearchSpec],
    toy_host: Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(spec(), toy_host)
    assert plan.teacher_name == "student middle of first"
    assert not any("first" in line for line in plan.warnings)
    summary = run(spec(), toy_host, Path("second"), run_locally, force=True)
    assert summary["teacher"]["name"] == "student middle of first"
    assert summary["selected"]["size"] == "tiny"
    assert audit(tmp_path / "second") == ([], 1)
    assert (tmp_path / "second" / "teacher" / "confirm.jsonl").exists()
    monkeypatch.chdir("/")
    (tmp_path / "second" / "summary.json").unlink()
    assert resume(tmp_path / "second", run_locally) == summary


def test_a_changed_student_is_not_resumed_with(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> None:
    run(spec(), toy_host, Path("second"), run_locally, force=True)
    (tmp_path / "second" / "summary.json").unlink()
    file = tmp_path / "runs" / "first" / "students" / "middle" / "model.safetensors"
    save_file({name: 2 * each for name, each in load_file(file).items()}, file)
    with pytest.raises(DamagedFileError, match=r"model\.safetensors is not what its checksum says"):
        resume(tmp_path / "second", run_locally)
    (file.parent / "SHA256SUMS").unlink()  # on purpose, then
    with pytest.raises(RunError, match="data have changed since the run began: assistant"):
        resume(tmp_path / "second", run_locally)


def test_a_student_that_was_not_exported_is_taken_from_its_trial(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "runs" / "first" / "students")
    path = make_plan(spec(), toy_host).teacher.path
    assert str(path).endswith("runs/first/trials/middle-c0-s0/student")


@pytest.mark.parametrize(
    ("teacher", "error", "message"),
    [
        ("{run: runs/first, size: tiny}", ModelError,
         "runs/first: the run has no size tiny (its students: middle)"),
        ("{run: runs, size: tiny}", ModelError, "runs: no finished run: no summary.json"),
        ("{run: nowhere, size: tiny}", ModelError, "nowhere: no finished run: no summary.json "
         "(check the path)"),
        ("{run: runs/first}", SpecError, "a student of an earlier run is named by run and size"),
        ("{run: a, size: b, model: c}", SpecError,
         "give exactly one of model, scratch, predictions, run"),
    ],
)  # fmt: skip
def test_what_is_no_student_is_refused(
    spec: Callable[..., SearchSpec],
    toy_host: Host,
    teacher: str,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        make_plan(spec(f"teachers=[{teacher}]"), toy_host)
    assert message in str(caught.value)


@pytest.mark.parametrize("changed", ["search.seed=3", "splits={dev: 50}"])
def test_an_assistant_of_other_splits_is_told_of(
    spec: Callable[..., SearchSpec], toy_host: Host, changed: str
) -> None:
    found = make_plan(spec(changed), toy_host).warnings
    assert any("may have been trained on dev and confirm" in line for line in found)


def test_its_tokenizer_must_be_that_of_the_others(
    spec: Callable[..., SearchSpec], toy_host: Host, tmp_path: Path
) -> None:
    own = tmp_path / "runs" / "first" / "students" / "middle" / "tokenizer.json"
    tokens = json.loads(own.read_text())
    tokens["model"]["vocab"] |= {"0": tokens["model"]["vocab"]["1"]}
    own.write_text(json.dumps(tokens))
    (own.parent / "SHA256SUMS").unlink()
    both = (
        "teachers=[{scratch: {family: t5, d_model: 16, d_ff: 16, layers: 1, heads: 2}, "
        "fine_tune: {max_steps: 2}}, {run: runs/first, size: middle}]"
    )
    with pytest.raises(SpecError, match="teacher '1' has another tokenizer than the first"):
        make_plan(spec(both, "losses={soft_labels: {}}"), toy_host)
