"""A job in a worker, without Ray."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from kdsearch.cluster import trainable
from kdsearch.cluster.stalls import take_stall, watched
from kdsearch.errors import InconsistentDataError, StorageError
from kdsearch.search.run_faults import rebuilt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def told(job: Mapping[str, Any], report: Any) -> dict[str, Any]:
    """Do a job by reporting it."""
    report({"step": 1})
    return {"seen": job["kind"]}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    payload = {"kind": "any", "run": str(tmp_path)}
    job = {"id": "small-c0-s0", "payload": payload}
    locks = tmp_path / "ray" / "locks"
    locks.parent.mkdir()
    return {"job": job, "perform": "some.module:told", "locks": str(locks), "stall_timeout": 30.0}


def test_a_job_is_done_by_the_function_that_is_named(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr(trainable, "resolve_name", {config["perform"]: told}.__getitem__)
    assert trainable._outcome(config, reports.append) == ("result", {"seen": "any"})
    assert reports == [{"step": 1}]


def test_two_workers_never_do_the_same_job(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "SECONDS_TO_LET_GO", 0.0)
    (tmp_path / "ray" / "locks").mkdir()
    with FileLock(tmp_path / "ray" / "locks" / "small-c0-s0.lock"):
        kind, error = trainable._outcome(config, lambda progress: None)
    assert kind == "error"
    assert "another worker is still at job small-c0-s0" in error


@pytest.mark.parametrize("error", [ValueError("no luck"), SystemExit(0)])
def test_a_job_that_ends_lets_go(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def ends(job: Mapping[str, Any], report: Any) -> None:
        raise error

    monkeypatch.setattr(trainable, "resolve_name", lambda name: ends)
    try:
        assert trainable._outcome(config, print) == ("error", "ValueError: no luck")
    except SystemExit:
        assert isinstance(error, SystemExit)
    with FileLock(tmp_path / "ray" / "locks" / "small-c0-s0.lock", timeout=0):
        pass


def test_other_data_than_the_driver_s_are_told_apart_from_a_failure(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(job: Mapping[str, Any], report: Any) -> None:
        raise InconsistentDataError("dev differs", where="domain 'toy'")

    monkeypatch.setattr(trainable, "resolve_name", lambda name: loads)
    kind, parts = trainable._outcome(config, print)
    assert kind == "fault"
    assert (type(rebuilt(parts)), str(rebuilt(parts))) == (
        InconsistentDataError,
        "domain 'toy': dev differs",
    )


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        StorageError("it cannot be written: Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_no_failure_of_a_trial(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def writes(job: Mapping[str, Any], report: Any) -> None:
        try:
            raise raised
        except Exception as error:
            raise ValueError("the checkpoint is not there") from error

    monkeypatch.setattr(trainable, "resolve_name", lambda name: writes)
    kind, parts = trainable._outcome(config, print)
    assert (kind, type(rebuilt(parts))) == ("fault", StorageError)
    assert not (tmp_path / "failures").exists()


def test_a_job_that_hangs_is_ended_and_says_where(tmp_path: Path) -> None:
    code = """
import sys, threading
from pathlib import Path
from kdsearch.cluster.stalls import watched

def sleeps_for_ever():
    threading.Event().wait()

with watched(Path(sys.argv[1]), "small-c0-s0", 0.2) as alive:
    alive()
    sleeps_for_ever()
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)
    assert ended.returncode == 1
    told = take_stall(tmp_path, "small-c0-s0", 30)
    assert told is not None
    assert told.startswith("it said nothing for 30 minutes and was ended")
    assert "sleeps_for_ever" in (tmp_path / "failures" / "small-c0-s0.txt").read_text()
    assert take_stall(tmp_path, "small-c0-s0", 30) is None  # the next attempt may run


def test_a_job_that_speaks_is_let_alone(tmp_path: Path) -> None:
    with watched(tmp_path, "small-c0-s0", 60.0) as alive:
        alive()
    assert take_stall(tmp_path, "small-c0-s0", 1.0) is None


def test_a_worker_does_not_make_a_run_directory_that_is_not_mounted(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr("ray.tune.report", lambda told: reports.append(json.loads(told["message"])))
    (tmp_path / "ray").rmdir()
    trainable.work(config)
    [told] = reports
    assert isinstance(rebuilt(told["fault"]), StorageError)
    assert "is it mounted on this node?" in told["fault"]["message"]
    assert list(tmp_path.iterdir()) == []
