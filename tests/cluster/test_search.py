"""Whole searches through Ray: to the end, and killed half-way."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from kdsearch.events import TeacherReady, TrialFinished, TrialStarted
from kdsearch.search.journal import read
from kdsearch.search.summary import exit_code, summarise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.cluster


def answers(summary: dict[str, Any]) -> Any:
    """Return what must not depend on timing, kills or slots."""
    keys = ("size", "verdict", "decided_on", "best_trial", "dev", "confirm", "baseline")
    sizes = [[size[key] for key in keys] for size in summary["sizes"]]
    return summary["outcome"], summary["selected"], sizes


def test_a_search_ends_with_a_verdict(whole: tuple[Path, Any]) -> None:
    folder, ended = whole
    summary = ended.json
    assert ended.exit_code == exit_code(summary), ended.stderr
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary == summarise(read(folder / "journal.jsonl"))
    assert summary["outcome"] in {"match", "no_match", "undecided"}
    assert summary["trials"]["failed"] == 0
    assert "teacher ready" in ended.stderr


def test_tested_students_load_as_plain_models(whole: tuple[Path, Any]) -> None:
    folder, ended = whole
    tested = [size for size in ended.json["sizes"] if size["confirm"]]
    assert tested, ended.stderr
    for size in tested:
        student = folder / "students" / size["size"]
        model = AutoModelForSeq2SeqLM.from_pretrained(student)
        assert model.num_parameters() == size["parameters"]
        assert AutoTokenizer.from_pretrained(student).eos_token_id is not None
        assert size["size"] in (student / "README.md").read_text()


def test_a_killed_search_resumes_without_repeating(
    whole: tuple[Path, Any],
    kd: Callable[..., Any],
    begin: Callable[..., Any],
    search: list[object],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "killed"
    driver = begin(*search, "--run-dir", folder)
    assert driver.stderr is not None
    for line in driver.stderr:
        if "  finished in " in line:
            break
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    before = read(folder / "journal.jsonl")
    finished = {r.event.trial for r in before if isinstance(r.event, TrialFinished)}
    resumed = kd("resume", folder, "--json", "--display", "plain")
    after = read(folder / "journal.jsonl")[len(before) :]
    started = {r.event.trial for r in after if isinstance(r.event, TrialStarted)}
    assert finished
    assert not finished & started
    assert not any(isinstance(r.event, TeacherReady) for r in after)
    assert answers(resumed.json) == answers(whole[1].json)


def test_a_finished_run_answers_again(whole: tuple[Path, Any], kd: Callable[..., Any]) -> None:
    folder, ended = whole
    again = kd("resume", folder, "--json")
    assert again.json == ended.json
    assert again.exit_code == ended.exit_code


def test_an_existing_run_directory_is_never_overwritten(
    whole: tuple[Path, Any], kd: Callable[..., Any], search: list[object]
) -> None:
    folder, _ = whole
    before = (folder / "journal.jsonl").read_bytes()
    ended = kd(*search, "--run-dir", folder)
    assert ended.exit_code == 2
    assert f"kdsearch resume {folder}" in ended.stderr
    assert (folder / "journal.jsonl").read_bytes() == before


LOSS = """
import os, signal
from pathlib import Path
from kdsearch.plugin import API, Options, hookimpl

KDSEARCH_API = API

class Loss:
    name, version, Config, needs = "{name}", "1", Options, ()

    def build(self, config, shapes):
        import torch

        class Module(torch.nn.Module):
            def forward(self, inputs):
                zero = 0.0 * inputs.student_logits.sum()
{body}
                return zero

        return Module()

@hookimpl
def kdsearch_losses():
    return [Loss()]
"""


def with_loss(file: Path, name: str, *body: str) -> list[object]:
    """Write a plugin with a loss of 0, and return the options that train with it.

    Args:
        file: Of the plugin.
        name: Of the loss.
        body: What a forward pass does first, with `inputs` and `zero`.
    """
    lines = "\n".join(f"                {line}" for line in body)
    file.write_text(LOSS.format(name=name, body=lines))
    return ["--plugin", file, "--set", f"losses.{name}={{weight: 1}}"]


def test_a_loss_that_turns_to_nan_fails_its_trials_by_name(
    kd: Callable[..., Any], toy_spec: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    sizes = "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}"
    options = with_loss(tmp_path / "late.py", "late", "if inputs.step == 2: zero = zero / 0.0")
    options += ["--set", sizes, "--plugin", toy_plugin, "--run-dir", tmp_path / "run", "--force"]
    ended = kd("run", toy_spec, *options, "--display", "plain")
    assert ended.exit_code == 4, ended.stderr
    for index in range(2):
        told = rf"small-c{index}-s0  failed: loss term late is nan at step 3 \(lower .*losses.late"
        assert re.search(told, ended.stderr), ended.stderr
    assert "2 failed" in ended.stdout


DEATH = (
    "seen = Path(__file__).with_suffix('.seen')",
    "if inputs.step == 50 and not seen.exists():",
    "    seen.touch()",
    "    os.kill(os.getpid(), signal.SIGKILL)",
)
"""Of the first worker that comes so far."""


def test_a_killed_worker_is_replaced_and_a_terminated_search_says_how_to_go_on(
    begin: Callable[..., Any], search: list[object], whole: tuple[Path, Any], tmp_path: Path
) -> None:
    plugin, folder = tmp_path / "deadly.py", tmp_path / "ended"
    options = [*with_loss(plugin, "deadly", *DEATH), "--run-dir", folder]
    options += ["--set", "train.checkpoints.steps=20"]
    driver = begin(*search, *options)
    told, resumed = [], "-"
    for line in driver.stderr:
        told.append(line)
        if "goes on from its checkpoint at step 40" in line:
            resumed = line.split()[1]
        if f"{resumed}  finished in " in line:
            break
    assert plugin.with_suffix(".seen").exists(), "".join(told)
    one, two = (
        (root / "trials" / resumed / "student" / "model.safetensors").read_bytes()
        for root in (folder, whole[0])
    )
    assert one == two  # a loss of 0 changes nothing, and neither does a death
    driver.send_signal(signal.SIGTERM)
    told += driver.communicate()[1].splitlines(keepends=True)
    assert driver.returncode == 130
    assert told[-1] == f"continue with: kdsearch resume {folder}\n"
    ours = ("\n", "       ", "interrupted")  # a trial's sample is indented
    assert all(line[2] == ":" or line.startswith(ours) for line in told[:-1]), "".join(told)
