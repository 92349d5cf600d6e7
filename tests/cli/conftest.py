"""A session helper, so that a test of the command line reads as a session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from kdsearch.cli import main

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
def kd() -> Callable[..., Ended]:
    def call(*arguments: object) -> Ended:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        return Ended(result.exit_code, result.stdout, result.stderr)

    return call
