"""A session helper, so that a test of the command line reads as a session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from kdsearch.cli import main
from kdsearch.local import run_locally

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.stdout)


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `kdsearch run` and `kdsearch confirm` do their jobs in this process."""
    for name in ("run", "confirm"):  # their package holds commands of these names
        module = import_module(f"kdsearch.cli.{name}")
        monkeypatch.setattr(module, "on_ray", lambda address: run_locally)


@pytest.fixture
def kd() -> Callable[..., Ended]:
    def call(*arguments: object, stdin: str | None = None) -> Ended:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(main, words, input=stdin)
        return Ended(result.exit_code, result.stdout, result.stderr)

    return call
