"""Whole runs in this process: a worker's training and answers, the director, files and summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benchmarks.audit import audit
from kdsearch.cli.results import read_run
from kdsearch.distill import fitting, jobs
from kdsearch.distill.evaluate import read_answers
from kdsearch.distill.module import DistillationModel
from kdsearch.distill.training import train
from kdsearch.errors import RunError
from kdsearch.events import ConfirmOpened, ConfirmTested, TrialFinished, TrialProgress
from kdsearch.local import run_locally
from kdsearch.run import resume, run
from kdsearch.run.prepared_search import PreparedSearch
from kdsearch.search.journal import read
from kdsearch.search.ledger import ConfirmLedger
from kdsearch.spec.loading import load_spec
from kdsearch.spec.record import FILE, read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.events import Record
    from kdsearch.plugin.host import Host

SHORT = (
    "domain.name=overlapping",
    "teachers.0.fine_tune.max_steps=3",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses.soft_labels={weight: {uniform: [0.5, 2.0]}}",
    "search={configurations_per_size: 1, strategy: descend}",
    "match={metric: overlap, margin: 0.9}",
)
"""Nothing is learnt, and everything within 90 points of the teacher matches it."""

TINY = "ladder.sizes.tiny={d_model: 8, d_ff: 16, layers: 1, heads: 2}"


@pytest.fixture
def search(toy_spec: Path, toy_host: Host) -> Callable[..., dict[str, Any]]:
    """Run the short search with overrides in a folder."""

    def call(folder: Path, *overrides: str, **options: Any) -> dict[str, Any]:
        spec = load_spec(toy_spec, toy_host, [*SHORT, *overrides])
        return run(spec, toy_host, folder, run_locally, force=True, **options)

    return call


def opening(folder: Path) -> ConfirmOpened:
    events = [record.event for record in read(folder / "journal.jsonl")]
    return next(event for event in events if isinstance(event, ConfirmOpened))


def trained(folder: Path) -> list[str | None]:
    events = [record.event for record in read(folder / "journal.jsonl")]
    return [event.trial for event in events if isinstance(event, TrialFinished)]


def test_a_recipe_of_graded_answers_in_units(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search(tmp_path / "run", "match={metric: overlap, retain: 0.01, seeds: 3}")
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    finished = [event for event in events if isinstance(event, TrialFinished)]
    assert [event.trial for event in finished][:2] == ["small-baseline-s0", "small-c0-s0"]
    given = [times for _, times, _ in finished[0].untrained_answers]
    assert given == sorted(given, reverse=True)
    assert 0 < sum(given) <= 60
    assert finished[1].paired is not None
    assert (finished[1].items, finished[1].paired["items"]) == (60, 30)
    plan = json.loads((tmp_path / "run" / "journal.jsonl").read_text().splitlines()[0])["plan"]
    assert (plan["items"]["confirm"], plan["splits"]["confirm"]) == (120, 60)
    assert summary["match"]["seeds"] == 3
    assert audit(tmp_path / "run")[0] == []


def test_seeds_are_trained_tested_and_named(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search(tmp_path / "run", "match.seeds=3")
    assert trained(tmp_path / "run") == [
        "small-baseline-s0",
        "small-c0-s0",
        "small-c0-s1",
        "small-c0-s2",
        "small-c0-s3",
    ]
    confirm = summary["sizes"][0]["confirm"]
    assert (confirm["seeds"], confirm["n"], confirm["in_units"]) == (3, 60, True)
    assert "small is the smallest size whose recipe" in summary["sentence"]
    for made in ("trials/small-c0-s1/student", "teacher/model"):  # copies of them know it, too
        record = read_record(tmp_path / "run" / made)
        assert record is not None
        assert record.splits.confirm == 120
        assert (tmp_path / "run" / made / FILE).is_file()
    card = (tmp_path / "run" / "students" / "small" / "README.md").read_text()
    assert "for the domain `overlapping`, distilled from scratch t5" in card
    assert "| `answer_ce` | weight 1 |" in card
    assert "| `learning_rate` | 0.001 |" in card
    assert "recipe matches its teacher over 3 seeds" in card
    assert audit(tmp_path / "run") == ([], 1)


def test_tpe_begins_as_planned_and_goes_on_from_results(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    asked = "search={sampler: tpe, strategy: exhaustive, configurations_per_size: 5}"
    for name in ("one", "two"):
        search(tmp_path / name, asked)
    one, two = (
        {
            record.event.trial: record.event.config["losses.soft_labels.weight"]
            for record in read(tmp_path / name / "journal.jsonl")
            if isinstance(record.event, TrialFinished) and record.event.index is not None
        }
        for name in ("one", "two")
    )
    plan = json.loads((tmp_path / "one" / "journal.jsonl").read_text().splitlines()[0])["plan"]
    planned = [drawn.get("losses.soft_labels.weight") for drawn in plan["configurations"]]
    assert [*one.values()][:4] == planned[:4]
    assert planned[4] is None
    assert 0.5 <= one["small-c4-s0"] <= 2.0
    assert one == two


def test_a_run_grows_and_says_what_is_exploratory(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    search(folder)
    with pytest.raises(RunError, match="--allow-exploratory"):
        search(folder, TINY)
    with pytest.raises(
        RunError, match=r"only sizes, configurations and ablations.*margin: 0.9 → 0.8"
    ):
        search(folder, TINY, "match.margin=0.8", allow_exploratory=True)
    with pytest.raises(RunError, match=r"ladder.sizes loses or changes"):
        search(folder, "ladder.sizes.small.d_ff=16", allow_exploratory=True)
    before = trained(folder)
    summary = search(folder, TINY, allow_exploratory=True)
    assert trained(folder)[: len(before)] == before
    assert not set(before) & set(trained(folder)[len(before) :])
    tiny, small = summary["sizes"]
    assert (tiny["size"], tiny["verdict"], tiny["exploratory"]) == ("tiny", "match", True)
    assert (small["verdict"], small["exploratory"]) == ("match", False)
    assert summary["selected"]["size"] == "small"
    assert "tiny matched in an exploratory test" in summary["sentence"]
    assert resume(folder, run_locally) == summary
    assert audit(folder) == ([], 2)


@pytest.mark.parametrize("cut", ["", '{"outcome": "ma', "null"])
def test_a_summary_that_was_cut_is_made_anew(
    search: Callable[..., dict[str, Any]], tmp_path: Path, cut: str
) -> None:
    summary = search(tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text(cut)
    assert read_run(tmp_path / "run").summary == summary
    assert resume(tmp_path / "run", run_locally) == summary
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary


def test_an_extension_that_fails_before_its_first_event_loses_nothing(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise RunError("refused")

    folder = tmp_path / "run"
    summary = search(folder)
    for name in ("check_data", "check_metric", "check_journal"):
        with monkeypatch.context() as patched:
            patched.setattr(PreparedSearch, name, refuse)
            with pytest.raises(RunError, match="refused"):
                search(folder, TINY, allow_exploratory=True)
        assert (folder / "summary.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(ConfirmLedger, "check_writable", refuse)
        with pytest.raises(RunError, match="refused"):
            search(folder, TINY, allow_exploratory=True)
    assert resume(folder, run_locally) == summary


def test_a_term_is_ablated_after_the_search_and_after_a_kill(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "run", jobs.perform

    def killed(job: Any, report: Any) -> dict[str, Any]:
        if "without" in job.get("trial", ""):
            raise KeyboardInterrupt
        return real(job, report)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "perform", killed)
        with pytest.raises(KeyboardInterrupt):
            search(folder, "ablate=[soft_labels]")
    summary = resume(folder, run_locally)
    assert trained(folder)[-1] == "small-c0-without-soft_labels-s0"
    (ablation,) = summary["ablations"]
    assert (ablation["size"], ablation["term"], ablation["n"]) == ("small", "soft_labels", 30)
    assert summary["cost"]["ablation_flops"] > 0.0
    assert summary["cost"]["share_of_grid"] == 1.0
    assert summary["selected"]["size"] == "small"
    ablated = trial_hash(folder, "small-c0-without-soft_labels-s0")
    assert ablated != trial_hash(folder, "small-c0-s0")
    again = search(folder, "ablate=[soft_labels, answer_ce]", allow_exploratory=True)
    assert [each["term"] for each in again["ablations"]] == ["soft_labels", "answer_ce"]
    assert trained(folder)[-1] == "small-c0-without-answer_ce-s0"
    assert not again["sizes"][0]["exploratory"]
    assert audit(folder) == ([], 1)


def trial_hash(folder: Path, trial: str) -> str:
    metrics = json.loads((folder / "trials" / trial / "metrics.json").read_text())
    return str(metrics["settings_hash"])


def test_a_second_run_is_told_of_the_first(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert not any("opened before" in line for line in search(tmp_path / "first")["warnings"])
    summary = search(tmp_path / "second")
    assert not any("opened before" in line for line in summary["warnings"])  # both matched
    first = json.loads((tmp_path / "first" / "manifest.json").read_text())
    ConfirmLedger().settle(f"{first['id']}:1:", str(tmp_path / "first"), 0.045)  # as if it had not
    summary = search(tmp_path / "third")
    told = f"opened before, by {tmp_path / 'first'}: 0.005 of the 0.05"
    assert any(told in line for line in summary["warnings"])
    opened = opening(tmp_path / "third")
    assert opened.alpha == pytest.approx(0.0045)
    assert audit(tmp_path / "third")[0] == []
    tested = [
        record.event
        for record in read(tmp_path / "second" / "journal.jsonl")
        if isinstance(record.event, ConfirmTested)
    ]
    assert not tested[0].exploratory


def test_a_run_directory_that_cannot_be_made_is_the_users_fault(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be made: Not a directory"):
        search(tmp_path / "file" / "run")


def test_confirm_is_answered_only_once_it_is_opened(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    answered = []

    def look(record: Record) -> None:
        answered.append((record.event.name, bool(list(folder.rglob("confirm.jsonl")))))

    search(folder, sinks=[look])
    opened = [name for name, _ in answered].index("confirm_opened")
    assert not any(there for _, there in answered[: opened + 1])
    assert answered[-1] == ("run_finished", True)


def test_a_trial_has_its_seed_and_its_threads(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    threads: list[int] = []

    def noted(*arguments: Any, seed: int, **options: Any) -> Any:
        seeds.append(seed)
        return train(*arguments, seed=seed, **options)

    monkeypatch.setattr(fitting, "train", noted)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    search(tmp_path / "run", "search.seed=5", "match.seeds=3", "resources.cpus=3")
    assert seeds == [5, 5, 5, 6, 7, 8]  # the teacher, baseline, candidate, three of its recipe
    assert set(threads) == {3}


def test_an_interrupted_trial_continues_from_its_checkpoint(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    asked = ["train.checkpoints={steps: 2}", "teachers.0.fine_tune.checkpoints={steps: 2}"]
    asked += ["ladder.sizes.small.dropout=0.1"]
    interrupted: list[str | None] = []

    def interrupt(record: Record) -> None:
        event = record.event
        if isinstance(event, TrialProgress) and event.step == 3 and event.trial not in interrupted:
            interrupted.append(event.trial)
            raise KeyboardInterrupt

    folder, whole = tmp_path / "run", search(tmp_path / "whole", *asked)
    with pytest.raises(KeyboardInterrupt):
        search(folder, *asked, sinks=[interrupt])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            resume(folder, run_locally, sinks=[interrupt])
    assert interrupted == [None, "small-baseline-s0", "small-c0-s0"]
    assert (folder / "trials" / "small-c0-s0" / "training" / "checkpoint-2").exists()
    summary = resume(folder, run_locally)
    assert summary["sizes"] == whole["sizes"]
    notes = [
        (event.trial, event.note)
        for event in (record.event for record in read(folder / "journal.jsonl"))
        if isinstance(event, TrialProgress) and event.note
    ]
    told = "goes on from its checkpoint at step 2"
    assert notes == [(trial, told) for trial in interrupted]
    one, two = (
        (root / "trials" / "small-c0-s0" / "student" / "model.safetensors").read_bytes()
        for root in (folder, tmp_path / "whole")
    )
    assert one == two
    assert not list(folder.rglob("training"))


def test_a_trial_that_stops_early_is_judged_by_the_weights_it_keeps(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    asked = "evaluations: 9, validation: 20, early_stopping: {patience: 2}"
    train = f"train={{learning_rate: 1e-2, max_steps: 9, {asked}}}"
    tuning = "teachers.0.fine_tune={max_steps: 4, evaluations: 2, validation: 0.1}"
    summary = search(tmp_path / "run", train, tuning, "train.batch_size=4")
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    finished = [event for event in events if isinstance(event, TrialFinished)]
    assert [event.ended for event in finished] == ["dev has not risen in 2 checks"] * 2
    for event in finished:
        assert event.kept_step == event.step - 2 < event.total_steps - 2 == 7
        folder = tmp_path / "run" / "trials" / str(event.trial)
        curve = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
        assert [point["step"] for point in curve] == list(range(1, event.step + 1))
        assert event.score == curve[event.kept_step - 1]["score"]
        assert event.score == max(point["score"] for point in curve)
        assert event.score == pytest.approx(read_answers(folder / "dev.jsonl").mean)
        progress = [each for each in events if isinstance(each, TrialProgress)]
        last = [each for each in progress if each.trial == event.trial][-1]
        assert (last.step, last.score) == (event.step, event.score)
    share = sum(event.step / event.total_steps for event in finished) / 2
    assert summary["cost"]["share_of_grid"] == pytest.approx(share)
    tuned = (tmp_path / "run" / "teacher" / "curves.jsonl").read_text().splitlines()
    assert [list(json.loads(line)) for line in tuned if "score" in line] == [
        ["step", "learning_rate", "losses", "validation", "score"]
    ] * 2
    assert audit(tmp_path / "run") == ([], 1)


def test_a_trial_that_runs_out_of_memory_says_how_it_goes_on(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = DistillationModel.forward

    def small(self: Any, **batch: Any) -> Any:
        if len(batch["labels"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return forward(self, **batch)

    monkeypatch.setattr(DistillationModel, "forward", small)
    search(tmp_path / "run", "train.batch_size=8", "teachers.0.fine_tune.batch_size=2")
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    notes = {
        event.trial: event.note
        for event in events
        if isinstance(event, TrialProgress) and event.note
    }
    told = "out of memory at step 1: goes on with 4 examples at a time instead of 8, 2 passes"
    assert (notes["small-c0-s0"] or "").startswith(told)
    assert trained(tmp_path / "run") == ["small-baseline-s0", "small-c0-s0"]


def test_a_size_that_was_counted_otherwise_than_built_fails_alone(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "count_parameters", lambda model: 1)
    summary = search(tmp_path / "run")
    assert [size["verdict"] for size in summary["sizes"]] == ["failed"]
    assert "parameters and built with 1" in summary["failures"][0]["error"]


def test_every_size_that_confirm_tested_is_exported(
    search: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    summary = search(tmp_path / "run", "match={metric: overlap, margin: 0.0}")
    [size] = summary["sizes"]
    assert (size["verdict"], summary["selected"]) == ("undecided", None)
    student = tmp_path / "run" / "students" / "small"
    assert (student / "config.json").exists()
    assert json.loads((student / "generation_config.json").read_text())["max_new_tokens"] == 4
    assert "TemplateProcessing" in (student / "tokenizer.json").read_text()
    assert "print(answer('" in (student / "README.md").read_text()


def test_a_store_that_is_damaged_on_the_way_is_repaired_and_said(
    search: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = search(tmp_path / "sound")
    perform = jobs.perform

    def damaging(job: Any, report: Any) -> dict[str, Any]:
        result = perform(job, report)
        if job["kind"] == "teacher":
            (values,) = (Path(job["run"]) / "teacher" / "signals").glob("*/top_logits.bin")
            content = bytearray(values.read_bytes())
            content[100] ^= 255
            values.write_bytes(content)
        return result

    monkeypatch.setattr(jobs, "perform", damaging)
    summary = search(tmp_path / "run")
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    notes = [event.note for event in events if isinstance(event, TrialProgress) and event.note]
    assert len(notes) == 1
    assert "computed anew" in str(notes[0])
    assert [size["dev"] for size in summary["sizes"]] == [size["dev"] for size in sound["sizes"]]
