"""Nothing is lost: damage is mended or told, and faults of the machine are no evidence."""

from __future__ import annotations

import errno
import json
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.chaos_search import SmallSearch, answer_of, events_of
from kdsearch.distill import jobs
from kdsearch.errors import DamagedFileError, RunError, StorageError
from kdsearch.local import run_locally
from kdsearch.run import resume, run
from kdsearch.search.journal import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = "trials/tiny-c0-s0/student/model.safetensors"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallSearch, Path, str]:
    """Return the small search, the directory of its run, and its answer."""
    folder = tmp_path_factory.mktemp("small")
    search = SmallSearch(folder)
    return search, folder / "run", answer_of(search.begin(folder / "run"))


@pytest.fixture
def copied(finished: tuple[SmallSearch, Path, str], tmp_path: Path) -> tuple[Path, str]:
    """Return a copy of the run to break, and its answer."""
    shutil.copytree(finished[1], tmp_path / "run")
    return tmp_path / "run", finished[2]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def zero_scores(file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**line, "score": 0.0}) + "\n" for line in lines))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("path", "damage", "event"),
    [
        (WEIGHTS, flip, "trial_repaired"),
        (WEIGHTS, cut, "trial_repaired"),
        ("trials/tiny-baseline-s0/dev.jsonl", zero_scores, "trial_repaired"),
        ("teacher/dev.jsonl", zero_scores, None),
        ("teacher/model/model.safetensors", flip, None),
        ("teacher/signals.json", flip, None),
        ("students/tiny/model.safetensors", cut, None),
        ("summary.json", cut, None),
        ("summary.json", flip, None),
    ],
)
def test_what_is_damaged_is_made_again(
    copied: tuple[Path, str], path: str, damage: Callable[[Path], None], event: str | None
) -> None:
    folder, answer = copied
    before = (folder / path).read_bytes()
    damage(folder / path)
    summary = resume(folder, run_locally)
    assert answer_of(summary) == answer
    assert (folder / path).read_bytes() == before
    assert ("trial_repaired" in events_of(folder)) == (event is not None)
    assert any("was trained again" in line for line in summary["warnings"]) == (event is not None)


def test_damage_before_confirm_is_found_by_the_job_that_reads(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path
) -> None:
    search, _, answer = finished
    search.until(tmp_path / "run", "confirm_opened")
    flip(tmp_path / "run" / WEIGHTS)
    assert answer_of(resume(tmp_path / "run", run_locally)) == answer
    assert "trial_repaired" in events_of(tmp_path / "run")


def test_damage_on_the_way_fails_no_trial(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path
) -> None:
    search, _, answer = finished

    def damage(record: Any) -> None:
        if record.event.name == "teacher_ready":
            flip(tmp_path / "run" / "teacher" / "signals.json")

    with pytest.raises(StorageError, match="a file of the teacher was damaged during the run"):
        run(search.spec, search.host, tmp_path / "run", run_locally, force=True, sinks=[damage])
    assert answer_of(resume(tmp_path / "run", run_locally)) == answer


@pytest.mark.parametrize("path", ["journal.jsonl", "manifest.json"])
def test_a_damaged_record_is_refused_by_its_place(copied: tuple[Path, str], path: str) -> None:
    flip(copied[0] / path)
    with pytest.raises((RunError, DamagedFileError), match=path.replace(".", r"\.")):
        resume(copied[0], run_locally)


def test_a_full_disk_ends_the_run_and_counts_for_nothing(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, _, answer = finished

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs, "train_student", full)
    monkeypatch.setitem(jobs._KINDS, "train", full)
    with pytest.raises(StorageError, match="the machine failed, not the search: No space left"):
        search.begin(tmp_path / "run")
    assert {"trial_failed", "run_finished"}.isdisjoint(events_of(tmp_path / "run"))
    monkeypatch.undo()
    assert answer_of(resume(tmp_path / "run", run_locally)) == answer


def test_failed_trials_are_tried_again_when_asked(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, _, answer = finished
    train = jobs.train_student

    def fails(workspace: Any, job: Any, report: Any) -> Any:
        if job["trial"] == "tiny-baseline-s0":
            raise ValueError("no luck")
        return train(workspace, job, report)

    monkeypatch.setitem(jobs._KINDS, "train", fails)
    summary = search.begin(tmp_path / "run")
    assert summary["trials"]["failed"] == 1
    assert resume(tmp_path / "run", run_locally) == summary  # it is not tried without being asked
    monkeypatch.undo()
    again = resume(tmp_path / "run", run_locally, retry_failed=True)
    assert again["trials"]["failed"] == 0
    assert answer_of(again) == answer
    assert read(tmp_path / "run" / "journal.jsonl")[-1].event.name == "run_finished"
    assert resume(tmp_path / "run", run_locally, retry_failed=True) == again


def test_a_retry_after_confirm_was_opened_proves_nothing_new(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, _, _ = finished
    train = jobs.train_student

    def fails(workspace: Any, job: Any, report: Any) -> Any:
        if job["trial"] == "tiny-c0-s0":
            raise ValueError("no luck")
        return train(workspace, job, report)

    monkeypatch.setitem(jobs._KINDS, "train", fails)
    assert search.begin(tmp_path / "run")["selected"]["size"] == "small"
    monkeypatch.undo()
    again = resume(tmp_path / "run", run_locally, retry_failed=True)
    tests = [r.event for r in read(tmp_path / "run" / "journal.jsonl") if "tested" in r.event.name]
    assert [(test.size, test.exploratory) for test in tests] == [("small", False), ("tiny", True)]  # type: ignore[attr-defined]  # tests alone
    assert again["selected"]["size"] == "small"


def test_a_journal_that_is_removed_ends_the_run(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path
) -> None:
    search, _, _ = finished

    def remove(record: Any) -> None:
        if record.event.name == "trial_started":
            (tmp_path / "run" / "journal.jsonl").unlink()

    with pytest.raises(StorageError, match="removed or replaced while the run was going on"):
        run(search.spec, search.host, tmp_path / "run", run_locally, force=True, sinks=[remove])
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize("left", [[], ["journal.jsonl", "journal.lock"], ["spec.yaml.new"]])
def test_a_directory_in_which_nothing_has_begun_is_begun(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, left: list[str]
) -> None:
    search, _, _ = finished
    (tmp_path / "run").mkdir()
    for name in left:
        (tmp_path / "run" / name).touch()
    with pytest.raises(
        RunError, match="begin a run that was stopped before it began by kdsearch run"
    ):
        resume(tmp_path / "run", run_locally)
    search.until(tmp_path / "run", "run_started")
    assert (tmp_path / "run" / "manifest.json").exists()


def test_a_directory_of_other_files_is_refused(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="it is there already, and is no whole run directory"):
        finished[0].begin(tmp_path)


def test_a_run_is_nobody_else_s_business(finished: tuple[SmallSearch, Path, str]) -> None:
    assert stat.S_IMODE(finished[1].stat().st_mode) == 0o700


def test_a_journal_of_another_run_is_refused(
    finished: tuple[SmallSearch, Path, str], copied: tuple[Path, str], tmp_path: Path
) -> None:
    finished[0].until(tmp_path / "other", "teacher_ready")
    shutil.copy(tmp_path / "other" / "journal.jsonl", copied[0] / "journal.jsonl")
    with pytest.raises(RunError, match="the journal is of another run"):
        resume(copied[0], run_locally)


def test_results_without_a_journal_are_not_made_anew(copied: tuple[Path, str]) -> None:
    (copied[0] / "journal.jsonl").unlink()
    with pytest.raises(RunError, match=r"journal.jsonl is missing, and summary.json and trials"):
        resume(copied[0], run_locally)


def test_once_confirm_is_opened_a_student_is_not_exchanged(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished[0].until(tmp_path / "run", "confirm_opened")
    shutil.rmtree(tmp_path / "run" / "trials" / "tiny-c0-s0" / "student")
    train = jobs.train_student

    def other(workspace: Any, job: Any, report: Any) -> Any:
        return train(workspace, {**job, "seed": job["seed"] + 9}, report)

    monkeypatch.setitem(jobs._KINDS, "train", other)
    with pytest.raises(RunError, match="training it again gave another student"):
        resume(tmp_path / "run", run_locally)


def test_a_match_whose_audit_failed_is_not_declared_until_it_is_repeated(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, _, answer = finished

    def fails(*_: Any) -> Any:
        raise ValueError("no luck")

    monkeypatch.setitem(jobs._KINDS, "audit", fails)
    told = search.begin(tmp_path / "run")["selected"]["withheld"]
    assert [line for line in told if "tiny could not be audited" in line]
    monkeypatch.undo()
    assert answer_of(resume(tmp_path / "run", run_locally, retry_failed=True)) == answer


@pytest.mark.parametrize("place", ["journal.jsonl", "trials/tiny-c0-s0", "teacher/confirm.jsonl"])
def test_links_in_a_run_directory_are_not_followed(
    finished: tuple[SmallSearch, Path, str], tmp_path: Path, place: str
) -> None:
    finished[0].until(tmp_path / "run", "teacher_ready")
    victim, link = tmp_path / "victim", tmp_path / "run" / place
    victim.mkdir()
    (victim / "checkpoint-500").mkdir()
    (victim / "precious").write_text("mine, without an end")
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(victim / "precious" if link.suffix else victim)
    with pytest.raises(RunError, match="a link stands where kdsearch writes"):
        finished[0].resume(tmp_path / "run")
    assert (victim / "precious").read_text() == "mine, without an end"
    assert sorted(file.name for file in victim.iterdir()) == ["checkpoint-500", "precious"]
