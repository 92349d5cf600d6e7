"""Faults of teachers and prompts, as a user meets them: one line, exit code 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

OPTIONS = """
from toy_domain import *

class Either(Toy):
    name = "either"
    answer = Answer.CHOICE

    def load(self, options):
        for number in range(300):
            yield Example(str(number), f"{number}?", number % 2, choices=("even", "odd"))

    def format(self, example, options):
        names = ("no", "no") if example.id == "7" else ("no", "yes")
        return Prompt(names[example.answer], example.question, choices=names)

    def score(self, predictions, examples):
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(p.choice == e.answer) for p, e in pairs]})

@hookimpl
def kdsearch_domains():
    return [Toy(), Either()]
"""


@pytest.fixture
def searched(
    kd: Kd,
    tmp_path: Path,
    toy_spec: Path,
    toy_plugin: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_here: None,
) -> Callable[..., str]:
    """Run the toy search with overrides and return the one line that it ends with."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "options.py").write_text(OPTIONS)

    def call(*overrides: str, command: str = "run", spec: Path = toy_spec) -> str:
        settings = [word for override in overrides for word in ("--set", override)]
        where = ["--run-dir", "run", "--display", "none"] if command == "run" else []
        ended = kd(command, spec, "--plugin", "options.py", *where, *settings)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert ended.stderr.count("\n") == 1, ended.stderr
        return str(ended.stderr.removeprefix("error: ").rstrip())

    return call


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["prompt.max_tokens=7"],
            "has 8 tokens; prompt.max_tokens is 7 (raise prompt.max_tokens or set "
            "prompt.truncate: question)",
        ),
        (
            ["prompt={max_tokens: 1, truncate: question}"],
            " tokens and nothing left to cut; prompt.max_tokens is 1 (raise prompt.max_tokens)",
        ),
        (
            ["domain.name=either"],
            "domain either: two options of '7' are the same tokens: ['no', 'no'] (answer by "
            "letter or integer)",
        ),
    ],
)
def test_prompts_and_options_are_checked_before_anything_is_written(
    searched: Callable[..., str], tmp_path: Path, overrides: list[str], line: str
) -> None:
    told = searched(*overrides)
    assert told.startswith("domain ")
    assert told.endswith(line)
    assert not (tmp_path / "run").exists()


def test_a_causal_teacher_reads_the_prompts_too(
    searched: Callable[..., str], tmp_path: Path
) -> None:
    """Students with an encoder read one token more: the end of the prompt."""
    byte_tokenizer().save_pretrained(tmp_path / "model")
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    asked = ["teachers=[{model: model}]", "losses={answer_ce: {}}"]
    depth = [*asked, "ladder={kind: depth, layers: [1]}"]
    assert "has 9 tokens" in searched(*depth, "prompt.max_tokens=8")
    assert "has 10 tokens" in searched(*asked, "prompt.max_tokens=9")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a model folder whose tokenizer has an entry too many."""
    tokenizer = byte_tokenizer()
    measures = ScratchSize(d_model=8, d_ff=16, layers=1, heads=2)
    random_model(scratch_model_config("t5", measures, 259), tokenizer, 0).save_pretrained(
        tmp_path / "model"
    )
    tokenizer.add_tokens(["<foreign>"])
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_with_a_foreign_tokenizer(
    searched: Callable[..., str], folder: Path, tmp_path: Path, command: str
) -> None:
    assert searched("teachers=[{model: model}]", command=command).endswith(
        "model: the tokenizer has 260 entries and the model 259 embeddings (it belongs to "
        "another model: save the model's own beside it)"
    )
    (folder / "tokenizer.json").unlink()
    assert searched("teachers=[{model: model}]", command=command).endswith(
        "model: the model folder holds no tokenizer (save its tokenizer beside it with "
        "save_pretrained)"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("options", "place", "told"),
    [
        (
            "heads: 3",
            "15:32: losses.attention_relations.heads",
            "size small: 3 relation heads do not divide the queries of a student, 16 wide (allowed "
            "are divisors of 16, or leave heads out)",
        ),
        (
            "weight: 2, heads: 16",
            "15:43: losses.attention_relations.heads",
            "size tiny: 16 relation heads do not divide the queries of a student, 8 wide (allowed "
            "are divisors of 8, or leave heads out)",
        ),
        (
            "weight: 2, teacher_layer: {choice: [1, 3]}",
            "15:51: losses.attention_relations.teacher_layer",
            "3 is out of range: the teacher's encoder has layers 1 to 2",
        ),
    ],
)
def test_losses_that_do_not_fit_the_models_are_refused_at_their_line(
    searched: Callable[..., str],
    toy_spec: Path,
    tmp_path: Path,
    command: str,
    options: str,
    place: str,
    told: str,
) -> None:
    text = toy_spec.read_text(encoding="utf8")
    file = tmp_path / "fits.yaml"
    line = f"  attention_relations: {{{options}}}"
    file.write_text(text.replace("  answer_ce: {weight: 1.0}", line), encoding="utf8")
    assert searched(command=command, spec=file) == f"{file}:{place}: {told}"
    assert not (tmp_path / "run").exists()


GIVEN = ["teachers=[{predictions: a.jsonl}]", "losses={answer_ce: {}}", "domain.name=either"]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (None, "a.jsonl: cannot be read: No such file or directory (set teachers.0.predictions)"),
        (['{"id": "0"'], "a.jsonl:1: not valid JSON: Expecting ',' delimiter: line 1 column 11"),
        (['{"id": "0", "choice": 0}'] * 2, "a.jsonl:2: '0' is answered twice, first at line 1"),
        (['{"id": "0", "label": 0}'], "a.jsonl:1: unknown key 'label': allowed: choice, id, rat"),
        (["{}"], "a.jsonl:1: missing key 'id'"),
        ([json.dumps({"id": "0", "choice": 1})], "a.jsonl: 180 of 180 items have no answer, the"),
        (
            [json.dumps({"id": str(number), "choice": "neither"}) for number in range(300)],
            'is answered "neither", which is none of its options: "even", "odd" (an index from 0 '
            "to 1, an option's text, or its letter)",
        ),
    ],
)
def test_answers_that_do_not_serve(
    searched: Callable[..., str], tmp_path: Path, command: str, lines: list[str] | None, told: str
) -> None:
    if lines is not None:
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
    line = searched(*GIVEN, command=command)
    assert told in line
    assert line.startswith(str(tmp_path / "a.jsonl") if command == "run" else "a.jsonl")
    assert not (tmp_path / "run").exists()


def test_a_black_box_asked_for_more_is_refused_by_validate(searched: Callable[..., str]) -> None:
    assert searched("teachers=[{predictions: a.jsonl}]", command="validate").endswith(
        "toy.yaml:16:3: loss 'soft_labels' needs top_logits of the teacher, and "
        "teachers.0.predictions gives only choice_scores, rationale, text"
    )
