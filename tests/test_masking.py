"""Secrets of the environment stand in no text that is shown or kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.cluster import trainable
from kdsearch.errors import PluginError, told
from kdsearch.masking import masked
from kdsearch.plugin.faults import raised, shown

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hf_abc'DEF/123 \n456"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HUB_TOKEN", SECRET)
    monkeypatch.setenv("MY_SECRET_FLAG", "true")


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        " ".join(SECRET.split()),
        repr(SECRET)[1:-1],
        "hf_abc%27DEF%2F123%20%0A456",
        r"hf_abc'DEF/123 \n456",
    ],
)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    assert masked(f"401 for {form}, true") == "401 for ***, true"


@pytest.mark.parametrize("name", ["A_TOKEN", "api_key", "SECRET_1", "DB_PASSWORD", "CREDENTIALS"])
def test_names_that_mean_a_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "0123456789")
    assert masked("<0123456789>") == "<***>"


def test_errors_are_told_without() -> None:
    error = ValueError(f"denied: {SECRET}")
    for text in (told(error), told(PluginError(str(error))), raised(error), shown(error)):
        assert "***" in text
        assert "hf_abc" not in text


def test_a_secret_is_masked_before_the_text_is_cut() -> None:
    assert "hf_" not in raised(ValueError("x" * 180 + SECRET))


def test_a_failed_job_keeps_a_traceback_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: Any, report: Any) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(trainable, "resolve_name", lambda name: fail)
    job = {"id": "t1", "payload": {"run": str(tmp_path)}}
    config = {"job": job, "perform": "any:thing", "locks": str(tmp_path / "locks")}
    kind, text = trainable._outcome(config, lambda progress: None)
    kept = (tmp_path / "failures" / "t1.txt").read_text()
    assert kind == "error"
    assert "Traceback" in kept
    assert "hf_abc" not in text + kept
    assert "***" in text
    assert "***" in kept
