"""Domains that do not give the same data each time end a run, and it is said why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

PLUGIN = """
from pathlib import Path
from random import shuffle
from toy_domain import *

FORMATS = []

def in_worker():
    return Path(__file__).with_name("run").joinpath("manifest.json").exists()

class Shuffled(Toy):
    name = "shuffled"

    def load(self, options):
        questions = [example.question for example in super().load(options)]
        shuffle(questions)
        for number, question in enumerate(questions):
            yield Example(str(number), question, "1")

class WorkerShuffled(Shuffled):
    name = "worker_shuffled"

    def load(self, options):
        return super().load(options) if in_worker() else Toy.load(self, options)

class WorkerReordered(Toy):
    name = "worker_reordered"

    def classes(self, options):
        return ("b", "a") if in_worker() else ("a", "b")

class Reworded(Toy):
    name = "reworded"

    def format(self, example, options):
        FORMATS.append(1)
        return Prompt(target=str(example.answer), text=f"{example.question} {len(FORMATS) % 10}")

@hookimpl
def kdsearch_domains():
    return [Shuffled(), WorkerShuffled(), WorkerReordered(), Reworded()]
"""


@pytest.fixture
def ended(
    kd: Kd,
    tmp_path: Path,
    toy_spec: Path,
    toy_plugin: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_here: None,
) -> Callable[[str], Any]:
    """Return how a run on one of the domains ends."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "unsteady.py").write_text(PLUGIN)

    def run(domain: str, command: str = "run") -> Any:
        where: tuple[Any, ...] = ("--plugin", tmp_path / "unsteady.py")
        if command == "run":
            where = (*where, "--run-dir", tmp_path / "run", "--display", "none", "--force")
        return kd(command, toy_spec, *where, "--set", f"domain.name={domain}")

    return run


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("domain", "told"),
    [("shuffled", "data differs (other examples)"), ("reworded", "dev differs (other prompts)")],
)
def test_what_changes_in_one_process_is_refused_before_anything_is_written(
    ended: Callable[..., Any], tmp_path: Path, domain: str, told: str, command: str
) -> None:
    outcome = ended(domain, command)
    assert outcome.exit_code == 3
    assert f"domain '{domain}': the same process loaded other data the second time" in (
        outcome.stderr
    )
    assert told in outcome.stderr
    assert "load() must give the same examples" in outcome.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("worker_shuffled", "dev differs (other examples)"),
        ("worker_reordered", "classes differ (others, or in another order)"),
    ],
)
def test_what_changes_in_a_worker_ends_the_run(
    ended: Callable[[str], Any], tmp_path: Path, domain: str, told: str
) -> None:
    outcome = ended(domain)
    assert outcome.exit_code == 3
    assert f"domain '{domain}': a worker loaded other data than the driver" in outcome.stderr
    assert told in outcome.stderr
    assert "trial_failed" not in (tmp_path / "run" / "journal.jsonl").read_text()
