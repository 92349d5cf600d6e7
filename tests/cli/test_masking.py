"""Secrets of the environment are masked in what commands print."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

SECRET = "hf_abcDEF0123456"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HUB_TOKEN", SECRET)


def test_the_error_of_a_plugin_is_masked_on_stderr(
    kd: Kd, tmp_path: Path, toy_spec: Path, toy_plugin: Path
) -> None:
    leaking = tmp_path / "leaking.py"
    leaking.write_text("import os\nraise RuntimeError('with ' + os.environ['MY_HUB_TOKEN'])")
    ended = kd("validate", toy_spec, "--plugin", leaking)
    assert ended.exit_code == 3
    assert "***" in ended.stderr
    assert "hf_abc" not in ended.stderr
    listed = kd("plugins", "--json", "--plugin", leaking)
    assert "hf_abc" not in listed.stdout
    assert kd("validate", toy_spec, "--plugin", toy_plugin, "--plugin", leaking).exit_code == 0


def test_a_fault_of_kdsearch_itself_is_masked(
    kd: Kd, monkeypatch: pytest.MonkeyPatch, toy_spec: Path
) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError(f"at {SECRET}")

    monkeypatch.setattr("kdsearch.spec.loading.load", fail)
    for options in ([], ["--traceback"]):
        ended = kd(*options, "validate", toy_spec)
        assert ended.exit_code == 70
        assert "hf_abc" not in ended.stderr
        assert "***" in ended.stderr


def test_a_warning_is_masked_and_visible(kd: Kd, capsys: pytest.CaptureFixture[str]) -> None:
    assert kd("schema").exit_code == 0  # sets the format
    assert logging.lastResort is not None
    record = logging.LogRecord("x", logging.WARNING, "", 0, f"{SECRET} \x1b[2J", None, None)
    assert logging.lastResort.format(record) == r"warning: *** \x1b[2J"
