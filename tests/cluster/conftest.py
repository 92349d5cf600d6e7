"""The command line in a process of its own, and a director whose jobs are made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from kdsearch.cluster.launch import run_jobs
from kdsearch.cluster.session import ray_module
from kdsearch.search.job_requests import JobRequest
from kdsearch.search.rules import Idle
from kdsearch.spec.models import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kdsearch.search.director import Director

ray_module(local=True)  # before a test imports Ray, which reads its environment then


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


class Desk:
    """Stands for a director: hands out given jobs in their order and notes what comes of them.

    `stop` says which of them have become useless, and why.
    """

    def __init__(
        self, jobs: Mapping[str, Mapping[str, Any]], run: Path, stop: dict[str, str]
    ) -> None:
        self.jobs = dict(jobs)
        self.run = run
        self.stop = stop
        self.out: set[str] = set()
        self.progress: dict[str, list[Any]] = {name: [] for name in jobs}
        self.results: dict[str, Any] = {}
        self.stopped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.finished = False

    def next_job(self) -> JobRequest | Idle:
        if not self.jobs:
            return Idle.WAIT if self.out else Idle.FINISHED
        name = next(iter(self.jobs))
        self.out.add(name)
        return JobRequest(name, {**self.jobs.pop(name), "run": str(self.run)})

    def stop_reason(self, job: str) -> str | None:
        return self.stop.get(job)

    def progressed(self, job: str, progress: Any) -> None:
        self.progress[job].append(progress)

    def finished_job(self, job: str, result: Any) -> None:
        self.out.remove(job)
        self.results[job] = result

    def stopped_job(self, job: str, reason: str) -> None:
        self.out.remove(job)
        self.stopped[job] = reason

    def failed_job(self, job: str, error: str) -> None:
        self.out.remove(job)
        self.failed[job] = error

    def finish(self) -> None:
        self.finished = True


@pytest.fixture(scope="session")
def worker_path() -> None:
    """Let workers that are started from now on import `fake_jobs`."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., Desk]:
    """Make a desk of jobs by name; `replaced` are methods of it."""

    def call(
        jobs: Mapping[str, Mapping[str, Any]],
        *,
        run: Path = tmp_path,
        stop: Mapping[str, str] | None = None,
        replaced: Mapping[str, Callable[..., None]] | None = None,
    ) -> Desk:
        made = Desk(jobs, run, dict(stop or {}))
        vars(made).update(replaced or {})
        return made

    return call


@pytest.fixture
def work_off(desk: Callable[..., Desk]) -> Callable[..., Desk]:
    """Run a desk's jobs, of `fake_jobs`, on the Ray that is up.

    `resources` are what `Resources` takes; anything else is the desk's.
    """

    def call(
        jobs: Mapping[str, Mapping[str, Any]],
        *,
        resources: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Desk:
        made = desk(jobs, **options)
        asked, folder = Resources(**(resources or {})), made.run / "ray"
        run_jobs(cast("Director", made), asked, folder, perform="fake_jobs:perform")
        return made

    return call
