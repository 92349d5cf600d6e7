"""Plugins that end the process at run time fail their trial or their run, and are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

QUITTING = """
import sys
from toy_domain import *

class Quits:
    name = "quits"
    version = "1"
    Config = Options
    needs = frozenset()

    def build(self, config, shapes):
        from torch import nn

        class Term(nn.Module):
            def forward(self, inputs): sys.exit(3)

        return Term()

class Ends(Toy):
    name = "ends"

    def score(self, predictions, examples): sys.exit("enough")

@hookimpl
def kdsearch_losses(): return [Quits()]

@hookimpl
def kdsearch_domains(): return [Toy(), Ends()]
"""


@pytest.fixture
def quitting(tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(toy_plugin.parent)
    file = tmp_path / "quitting.py"
    file.write_text(QUITTING)
    return file


def test_a_loss_that_exits_fails_its_trials(
    kd: Kd, tmp_path: Path, toy_spec: Path, quitting: Path, run_here: None
) -> None:
    sizes = "ladder.sizes={s: {d_model: 8, d_ff: 8, layers: 1, heads: 1}}"
    settings = ["losses={answer_ce: {}, quits: {}}", sizes, "train.max_steps=1"]
    settings += ["teachers.0.fine_tune.max_steps=1", "search.audit=false"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    run = tmp_path / "run"
    ended = kd("run", toy_spec, "--plugin", quitting, "--run-dir", run, "--force", *overrides)
    journal = (run / "journal.jsonl").read_text()
    told = [json.loads(line).get("error") or "" for line in journal.splitlines()]
    assert ended.exit_code == 4, ended.stderr
    assert any("loss 'quits': forward raised SystemExit: sys.exit(3)" in line for line in told)
    assert "Traceback" not in ended.stderr


def test_a_score_that_exits_ends_the_plan(kd: Kd, toy_spec: Path, quitting: Path) -> None:
    ended = kd("run", toy_spec, "--plugin", quitting, "--set", "domain={name: ends}")
    assert ended.exit_code == 3
    assert "domain 'ends': score() raised SystemExit: sys.exit('enough')" in ended.stderr
