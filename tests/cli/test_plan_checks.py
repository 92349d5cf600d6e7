"""What `run` refuses before its first job is refused by `plan`, in the same words."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

PLUGIN = """
from toy_domain import *
from kdsearch.plugin.domains import TextDomain
from kdsearch.plugin.files import json_rows

class Telling(Toy):
    name = "telling"

    def format(self, example, options):
        return Prompt(target=str(example.answer), text=f"{example.question} {example.answer}")

class Filed(TextDomain):
    name, version, answer = "filed", "1", Answer.TEXT
    metrics = ("exact_match",)

    def rows(self, options):
        return json_rows(options.path)

    def example(self, row, options):
        return Example(row.text("id"), row.text("question"), row.text("answer"))

@hookimpl
def kdsearch_domains():
    return [Telling(), Filed()]
"""


@pytest.fixture
def both(
    kd: Kd,
    tmp_path: Path,
    toy_spec: Path,
    toy_plugin: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_here: None,
) -> Callable[..., tuple[int, str]]:
    """Return how `plan` ends, once `run` has ended alike."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "mine.py").write_text(PLUGIN)

    def call(*overrides: str) -> tuple[int, str]:
        own = [word for each in overrides for word in ("--set", each)]
        plugins = ("--plugin", toy_plugin, "--plugin", tmp_path / "mine.py")
        planned = kd("plan", toy_spec, *plugins, *own)
        folder = ("--run-dir", tmp_path / "run", "--display", "none")
        ran = kd("run", toy_spec, *plugins, *own, *folder)
        assert (planned.exit_code, planned.stderr) == (ran.exit_code, ran.stderr)
        assert not (tmp_path / "run").exists()
        return planned.exit_code, planned.stderr

    return call


def test_long_prompts_are_refused(both: Any) -> None:
    code, told = both("prompt.max_tokens=6")
    assert code == 2
    assert "tokens; prompt.max_tokens is 6 (raise prompt.max_tokens or set prompt.tru" in told


def test_prompts_that_hold_the_answer_are_refused(both: Any) -> None:
    code, told = both("domain.name=telling")
    assert code == 3
    assert "error: domain 'telling': format() gives the right answer away" in told


def test_a_long_prompt_is_named_by_its_line(both: Any, tmp_path: Path) -> None:
    rows = [
        {
            "id": f"{number:016x}",
            "question": f"{number} and so on" * (1 + (number == 700)),
            "answer": "1",
        }
        for number in range(800)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    named = ("domain.name=filed", "match.metric=exact_match", f"domain.options.path={path}")
    code, told = both(*named, "prompt.max_tokens=30")
    assert (code, told) == (
        2,
        f"error: {path}:701: the prompt has 35 tokens; prompt.max_tokens is 30 "
        "(raise prompt.max_tokens or set prompt.truncate: question)\n",
    )


def test_more_cores_than_there_are_are_refused(both: Any) -> None:
    code, told = both("resources.cpus=4096")
    assert code != 0
    assert "error: resources: a trial asks for 4096 CPU on one node" in told


def test_a_mistyped_path_is_refused(both: Any, tmp_path: Path) -> None:
    path = tmp_path / "absent.jsonl"
    code, told = both(
        "domain.name=filed", "match.metric=exact_match", f"domain.options.path={path}"
    )
    assert code == 2
    assert told.startswith(f"error: {path}: ")


COLD = """
import sys
from kdsearch.cli import main
try:
    main(sys.argv[1:], prog_name="kdsearch")
except SystemExit as ended:
    heavy = sorted({"torch", "ray"} & sys.modules.keys())
    print(ended.code, heavy, file=sys.stderr)
import transformers
print(transformers.is_torch_available(), file=sys.stderr)
"""


def test_a_tokenizer_that_only_transformers_reads_is_asked_without_torch(
    tmp_path: Path, toy_spec: Path, toy_plugin: Path
) -> None:
    teacher, tokenizer = tmp_path / "teacher", byte_tokenizer()
    tokenizer.chat_template = "{% for each in messages %}Q: {{ each.content }}{% endfor %} A:"
    measures = ScratchSize(d_model=8, d_ff=8, layers=1, heads=2)
    config = scratch_model_config("llama", measures, len(tokenizer))
    random_model(config, tokenizer, 0).save_pretrained(teacher)
    tokenizer.save_pretrained(teacher)
    asked = (f"teachers=[{{model: {teacher}}}]", "ladder.family=llama", "prompt.max_tokens=14")
    own = ["--plugin", str(toy_plugin)] + [word for each in asked for word in ("--set", each)]
    command = [sys.executable, "-c", COLD, "plan", str(toy_spec), *own]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    refused, code, torch_is_there = ended.stderr.strip().splitlines()
    longest = len("Q: 10 + 10 = A:")
    assert refused.startswith("error: domain toy: the prompt of '")
    assert f"has {longest} tokens; prompt.max_tokens is 14" in refused
    assert (code, torch_is_there) == ("2 []", "True")
