"""A job in a worker, without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from kdsearch.cluster import trainable
from kdsearch.errors import InconsistentDataError

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
    return {"job": job, "perform": "some.module:told", "locks": str(tmp_path / "locks")}


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
    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / "small-c0-s0.lock"):
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
    with FileLock(tmp_path / "locks" / "small-c0-s0.lock", timeout=0):
        pass


def test_other_data_than_the_driver_s_are_told_apart_from_a_failure(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(job: Mapping[str, Any], report: Any) -> None:
        raise InconsistentDataError("dev differs", where="domain 'toy'")

    monkeypatch.setattr(trainable, "resolve_name", lambda name: loads)
    parts = {"message": "dev differs", "where": "domain 'toy'", "fix": None}
    assert trainable._outcome(config, print) == ("fault", parts)
