"""Whole runs of students that exist already, and of both families made from measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from kdsearch.distill.students import byte_tokenizer, count_parameters, random_model
from kdsearch.errors import DataError, ModelError, SpecError
from kdsearch.facts import facts_of_config, facts_of_folder
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.run import run
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

SHORT = (
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses.soft_labels={weight: 1.0}",
    "search={configurations_per_size: 1, strategy: descend}",
    "match={metric: accuracy, margin: 0.9}",
)


def saved(folder: Path, family: str, width: int, *, other: bool = False) -> Path:
    """Save a random model with the byte tokenizer, or with one that has a token more."""
    tokenizer = byte_tokenizer()
    if other:
        tokenizer.add_tokens(["word"])
    measures = ScratchSize(d_model=width, d_ff=2 * width, layers=1, heads=2)
    model = random_model(scratch_model_config(family, measures, len(tokenizer)), tokenizer, 0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("family", ["t5", "llama"])
def test_measures_are_counted_as_they_are_built(family: str, kv_heads: int | None) -> None:
    measures = ScratchSize(d_model=16, d_ff=24, layers=2, heads=4, kv_heads=kv_heads)
    config = scratch_model_config(family, measures, 300)
    model = random_model(config, byte_tokenizer(), 0)
    assert facts_of_config(config, head_tied=True).parameters == count_parameters(model)
    assert model.config.pad_token_id == 0


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_students_that_exist_are_searched(
    family: str, toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    widths = {"teacher": 24, "small": 8, "large": 16}
    models = {name: str(saved(tmp_path / name, family, width)) for name, width in widths.items()}
    tuned = f"teachers=[{{model: '{models.pop('teacher')}', fine_tune: {{max_steps: 3}}}}]"
    ladder = f"ladder={{kind: pretrained, models: {models}}}"
    spec = load_spec(toy_spec, toy_host, [*SHORT, tuned, ladder])
    summary = run(spec, toy_host, tmp_path / "run", run_locally, force=True)
    found = {size["size"]: size for size in summary["sizes"]}
    assert found["large"]["parameters"] == facts_of_folder(tmp_path / "large").parameters
    assert summary["selected"] is not None
    auto: Any = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    exported = auto.from_pretrained(tmp_path / "run" / summary["selected"]["path"])
    before = auto.from_pretrained(models[summary["selected"]["size"]])
    assert count_parameters(exported) == count_parameters(before)
    now, then = (model.get_input_embeddings().weight for model in (exported, before))
    assert not torch.equal(now, then)
    assert torch.allclose(now, then, atol=0.05)  # three steps from where it began


def test_another_tokenizer_is_refused_where_tokens_are_compared(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    other = saved(tmp_path / "other", "t5", 8, other=True)
    ladder = f"ladder={{kind: pretrained, models: {{other: '{other}'}}}}"
    with pytest.raises(SpecError, match="other has another tokenizer than the teacher"):
        make_plan(load_spec(toy_spec, toy_host, [teacher(tmp_path), ladder]), toy_host)
    alone = [teacher(tmp_path), ladder, "losses={answer_ce: {labels: teacher}}"]
    assert make_plan(load_spec(toy_spec, toy_host, alone), toy_host).sizes[0].other_tokens
    asked = [*SHORT, teacher(tmp_path), ladder, "losses={answer_ce: {}, uld: {}}"]
    spec = load_spec(toy_spec, toy_host, asked)
    summary = run(spec, toy_host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0
    assert "loss_uld" in (tmp_path / "run" / "journal.jsonl").read_text()


def test_what_a_student_cannot_read_is_told_before_anything_is_written(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    """With an encoder it reads one token more than its teacher: the end of the prompt."""
    models = {name: saved(tmp_path / name, name, 8, other=name == "t5") for name in ("t5", "llama")}
    overrides = [
        f"teachers=[{{model: '{models['llama']}'}}]",
        f"ladder={{kind: pretrained, models: {{other: '{models['t5']}'}}}}",
        "losses={answer_ce: {labels: teacher}}",
        "prompt.max_tokens=9",
    ]
    with pytest.raises(DataError, match=r"has 10 tokens; prompt\.max_tokens is 9"):
        run(load_spec(toy_spec, toy_host, overrides), toy_host, tmp_path / "run", run_locally)
    assert not (tmp_path / "run").exists()


def teacher(folder: Path) -> str:
    return f"teachers=[{{model: '{saved(folder / 'teacher', 't5', 16)}'}}]"


def test_a_missing_student_is_named(toy_spec: Path, toy_host: Host, tmp_path: Path) -> None:
    ladder = "ladder={kind: pretrained, models: {small: /nowhere/at/all}}"
    spec = load_spec(toy_spec, toy_host, [teacher(tmp_path), ladder])
    with pytest.raises(ModelError, match="/nowhere/at/all: no model folder"):
        make_plan(spec, toy_host)
