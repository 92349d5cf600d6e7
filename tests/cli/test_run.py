from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import kdsearch.run
from kdsearch.errors import ExitCode, RunError
from kdsearch.events import Record, RunFinished, RunStarted, TrialFailed, TrialStarted
from kdsearch.plan import make_plan
from kdsearch.search.journal import Journal, read
from kdsearch.search.summary import exit_code, summarise
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdsearch.plugin.host import Host

    Kd = Callable[..., Any]


@pytest.fixture
def toy_run(tmp_path: Path, toy_spec: Path, toy_host: Host) -> Path:
    """Return a run directory whose search was cut off in its first trial."""
    plan = make_plan(load_spec(toy_spec, toy_host), toy_host).to_json()
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(RunStarted(run="toy", plan=plan))
        trial: Any = {"size": "small", "trial": "small-baseline-s0", "index": None, "seed": 0}
        journal.append(TrialStarted(**trial, config={"train.learning_rate": 0.01}))
        journal.append(TrialFailed(**trial, error="RuntimeError: no luck"))
    return tmp_path


@pytest.fixture
def summary(toy_run: Path) -> dict[str, Any]:
    with Journal(toy_run / "journal.jsonl") as journal:
        ended = RunFinished(outcome="undecided", sentence="Nothing is known.")
        return summarise([*journal.records, Record(len(journal.records), 0.0, ended)])


class Carried:
    """Stands for the library's `run` and `resume`, and remembers how it was called."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.folder: Path | None = None
        self.options: dict[str, Any] = {}

    def run(self, spec: Any, host: Any, folder: Path, executor: Any, **options: Any) -> Any:
        self.folder, self.options = folder, {"spec": spec, **options}
        return self.resume(folder, executor)

    def resume(self, folder: Path, executor: Any, **options: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch, summary: dict[str, Any]) -> Carried:
    stand_in = Carried(summary)
    monkeypatch.setattr(kdsearch.run, "run", stand_in.run)
    monkeypatch.setattr(kdsearch.run, "resume", stand_in.resume)
    return stand_in


@pytest.mark.parametrize(
    ("outcome", "failed", "code"),
    [
        ("match", 2, ExitCode.MATCH),
        ("no_match", 0, ExitCode.NO_MATCH),
        ("undecided", 0, ExitCode.NO_MATCH),
        ("uninformative_teacher", 0, ExitCode.NO_MATCH),
        ("undecided", 1, ExitCode.TRIALS_FAILED),
    ],
)
def test_the_outcome_is_the_exit_code(outcome: str, failed: int, code: ExitCode) -> None:
    assert exit_code({"outcome": outcome, "trials": {"failed": failed}}) is code


def test_run_passes_its_options_on(
    kd: Kd, carried: Carried, toy_spec: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    options = [
        "--plugin",
        toy_plugin,
        "--run-dir",
        tmp_path / "x",
        "--force",
        "--allow-exploratory",
        "--set",
        "search.seed=4",
    ]
    ended = kd("run", toy_spec, *options, "--json")
    assert ended.exit_code == ExitCode.TRIALS_FAILED
    assert ended.json == carried.answer
    assert carried.folder == tmp_path / "x"
    assert carried.options["force"] is True
    assert carried.options["allow_exploratory"] is True
    assert carried.options["spec"].search.seed == 4
    assert len(carried.options["sinks"]) == 1


def test_a_run_without_a_directory_is_named_by_spec_and_time(
    kd: Kd, carried: Carried, toy_spec: Path, toy_plugin: Path
) -> None:
    ended = kd("run", toy_spec, "--plugin", toy_plugin)
    assert re.fullmatch(r"runs/toy-\d{8}-\d{6}", str(carried.folder))
    assert f"kept in {carried.folder}" in ended.stderr
    assert "toy: accuracy within 10.0 points" in ended.stdout


def test_the_place_of_tracebacks_is_told(
    kd: Kd, carried: Carried, toy_spec: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    (tmp_path / "failures").mkdir()
    ended = kd("run", toy_spec, "--plugin", toy_plugin, "--run-dir", tmp_path)
    assert f"tracebacks of what failed are in {tmp_path / 'failures'}" in ended.stderr


def test_a_faulty_spec_never_reaches_the_run(
    kd: Kd, carried: Carried, toy_spec: Path, toy_plugin: Path
) -> None:
    assert kd("run", toy_spec, "--plugin", toy_plugin, "--set", "train.max_steps=0").exit_code == 2
    assert carried.folder is None


@pytest.mark.parametrize("command", ["run", "resume"])
def test_an_interrupted_run_says_how_to_go_on(
    kd: Kd, carried: Carried, toy_spec: Path, toy_plugin: Path, tmp_path: Path, command: str
) -> None:
    carried.answer = KeyboardInterrupt()
    folder = tmp_path / "my run"
    folder.mkdir()
    options = (
        [toy_spec, "--plugin", toy_plugin, "--run-dir", folder] if command == "run" else [folder]
    )
    ended = kd(command, *options)
    assert ended.exit_code == ExitCode.INTERRUPTED
    assert ended.stderr.endswith(f"continue with: kdsearch resume '{folder}'\n")


def test_a_run_that_cannot_start_is_one_line(kd: Kd, carried: Carried, tmp_path: Path) -> None:
    carried.answer = RunError("no run directory", where=str(tmp_path))
    ended = kd("resume", tmp_path)
    assert (ended.exit_code, ended.stderr) == (2, f"error: {tmp_path}: no run directory\n")


def test_results_of_a_run_that_goes_on(kd: Kd, toy_run: Path) -> None:
    summary = summarise(read(toy_run / "journal.jsonl"))
    ended = kd("results", toy_run)
    assert ended.exit_code == 0
    assert "The run has not finished." in ended.stdout
    again = f"continue with: kdsearch resume {toy_run}\n"
    assert ended.stderr == f"{toy_run} has not finished; {again}"
    assert kd("results", toy_run, "--json").json == [{"run": str(toy_run), **summary}]
    with Journal(toy_run / "journal.jsonl") as journal:
        journal.append(RunFinished(outcome="no_match", sentence="None."))
    assert kd("results", toy_run).stderr == ""


def test_results_list_trials(kd: Kd, toy_run: Path) -> None:
    assert "no luck" in kd("results", toy_run, "--trials").stdout
    listed = kd("results", toy_run, "--trials", "--json").json[0]["trial_list"]
    assert [(row["trial"], row["status"]) for row in listed] == [("small-baseline-s0", "failed")]


def test_results_of_several_runs_take_a_line_each(kd: Kd, toy_run: Path) -> None:
    lines = kd("results", toy_run, toy_run).stdout.splitlines()
    assert sum(line.startswith("toy ") for line in lines) == 2


def test_results_of_no_run(kd: Kd, tmp_path: Path) -> None:
    ended = kd("results", tmp_path / "nowhere")
    assert ended.exit_code == 2
    assert "no run directory: it holds no journal.jsonl" in ended.stderr
