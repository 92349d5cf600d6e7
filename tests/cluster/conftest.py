"""The command line in a process of its own, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.stdout)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "kdsearch", *(str(argument) for argument in arguments)]


@pytest.fixture(scope="session")
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command whose standard error can be followed; none outlives the tests."""
    begun: list[subprocess.Popen[str]] = []

    def call(*arguments: object) -> subprocess.Popen[str]:
        begun.append(subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield call
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def kd() -> Callable[..., Outcome]:
    def call(*arguments: object) -> Outcome:
        ended = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture(scope="session")
def search(toy_plugin: Path) -> list[object]:
    """Return the arguments of a small search that has something to decide."""
    spec = toy_plugin.with_name("larger.yaml")
    return ["run", spec, "--plugin", toy_plugin, "--display", "plain"]


@pytest.fixture(scope="session")
def whole(
    kd: Callable[..., Outcome], search: list[object], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """Return a finished run and how its command ended."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, kd(*search, "--run-dir", folder, "--json")
