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
import os
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
            def forward(self, inputs): sys.exit(os.environ["QUIT_TOKEN"] + "\\x1b[2J")

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
    kd: Kd,
    tmp_path: Path,
    toy_spec: Path,
    quitting: Path,
    run_here: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUIT_TOKEN", "hf_0123456789")
    sizes = "ladder.sizes={s: {d_model: 8, d_ff: 8, layers: 1, heads: 1}}"
    settings = ["losses={answer_ce: {}, quits: {}}", sizes, "train.max_steps=1"]
    settings += ["teachers.0.fine_tune.max_steps=1", "search.audit=false"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    run = tmp_path / "run"
    ended = kd("run", toy_spec, "--plugin", quitting, "--run-dir", run, "--force", *overrides)
    journal = (run / "journal.jsonl").read_text()
    told = [json.loads(line).get("error") or "" for line in journal.splitlines()]
    assert ended.exit_code == 4, ended.stderr
    named = "loss 'quits': forward raised SystemExit: sys.exit('***"
    assert any(named in line for line in told)
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert kd("report", run).exit_code == 0
    shown = [*(file.read_text() for file in run.glob("*.html")), journal, ended.stderr]
    assert len(shown) == 3
    assert not any("hf_0123456789" in text or "\x1b" in text for text in shown)


def test_a_score_that_exits_ends_the_plan(kd: Kd, toy_spec: Path, quitting: Path) -> None:
    ended = kd("run", toy_spec, "--plugin", quitting, "--set", "domain={name: ends}")
    assert ended.exit_code == 3
    assert "domain 'ends': score() raised SystemExit: sys.exit('enough')" in ended.stderr
