from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import ModelError
from kdsearch.facts import (
    black_box_facts,
    check_tokenizer,
    facts_of_config,
    facts_of_folder,
    same_tokenizer,
    vocabulary_of,
)

if TYPE_CHECKING:
    from pathlib import Path

T5 = {
    "model_type": "t5",
    "vocab_size": 40,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 3,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        T5,
        {**T5, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 1},
        LLAMA,
        {**LLAMA, "num_key_value_heads": 2, "head_dim": 8},
        {**LLAMA, "attention_bias": True, "mlp_bias": True},
    ],
)
def test_a_formula_counts_what_is_built(config: dict[str, Any], tied: bool) -> None:
    transformers = pytest.importorskip("transformers")
    built = transformers.AutoConfig.for_model(**config, tie_word_embeddings=tied)
    auto = (
        transformers.AutoModelForSeq2SeqLM
        if config["model_type"] == "t5"
        else transformers.AutoModelForCausalLM
    )
    model = auto.from_config(built)
    head_tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    facts = facts_of_config(config, head_tied=head_tied)
    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert facts.embedding_parameters == model.get_input_embeddings().weight.numel()


def folder_of(folder: Path, shapes: dict[str, list[int]], config: Any = None) -> Path:
    """Write a model folder whose weights are a header alone."""
    header = {name: {"dtype": "F32", "shape": shape} for name, shape in shapes.items()}
    text = json.dumps({**header, "__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (folder / "config.json").write_text(json.dumps(T5 if config is None else config))
    return folder


def test_a_stored_model_is_counted_from_its_header(tmp_path: Path) -> None:
    shapes = {"shared.weight": [40, 12], "encoder.embed_tokens.weight": [40, 12], "x": [7, 3]}
    facts = facts_of_folder(folder_of(tmp_path, shapes))
    assert facts.parameters == 40 * 12 + 21
    assert facts.head_tied
    assert facts.compute_parameters == facts.parameters


def test_an_untied_head_counts_and_the_look_up_does_not_compute(tmp_path: Path) -> None:
    shapes = {"shared.weight": [40, 12], "lm_head.weight": [40, 12]}
    facts = facts_of_folder(folder_of(tmp_path, shapes))
    assert (facts.parameters, facts.compute_parameters) == (960, 480)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "config.json is missing"),
        ({"config.json": b"{}"}, "holds no .safetensors file"),
        ({"config.json": b"{", "model.safetensors": b""}, "not valid JSON"),
        ({"config.json": b"[]", "model.safetensors": b""}, "not a JSON object"),
        ({"config.json": b"{}", "model.safetensors": b"abc"}, "not a safetensors file"),
        (
            {"config.json": b"{}", "model.safetensors": b"\x04" + b"\0" * 7 + b"x"},
            "header is broken",
        ),
        (
            {
                "config.json": b'{"model_type": "bert"}',
                "model.safetensors": b"\x02" + b"\0" * 7 + b"{}",
            },
            "family 'bert'; known: llama, t5",
        ),
        (
            {
                "config.json": b'{"model_type": "t5"}',
                "model.safetensors": b"\x02" + b"\0" * 7 + b"{}",
            },
            "config.json lacks 'd_model'",
        ),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        facts_of_folder(tmp_path)


@pytest.mark.parametrize(
    ("tokenizer", "size"),
    [
        ({"model": {"vocab": {"a": 0, "b": 4}}}, 5),
        ({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}}, 2),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 9, "content": "<x>"}]}, 10),
    ],
)
def test_a_vocabulary_ends_at_the_highest_id(
    tmp_path: Path, tokenizer: dict[str, Any], size: int
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(tokenizer))
    assert vocabulary_of(file) == vocabulary_of(tmp_path) == size


@pytest.mark.parametrize("content", [None, "{", "{}", '{"model": {"vocab": {}}}'])
def test_a_tokenizer_without_tokens_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError):
        vocabulary_of(tmp_path)


def test_a_black_box_has_nothing_but_a_vocabulary() -> None:
    facts = black_box_facts(259)
    assert (facts.vocabulary, facts.known_parameters, facts.compute_parameters) == (259, None, 0)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 40}}}')
    check_tokenizer(tmp_path, 41)
    with pytest.raises(ModelError) as caught:
        check_tokenizer(tmp_path, 40)
    assert str(caught.value) == (
        f"{tmp_path}: the tokenizer has 41 entries and the model 40 embeddings "
        "(it belongs to another model: save the model's own beside it)"
    )


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model folder holds no tokenizer"):
        check_tokenizer(tmp_path, 40)
    (tmp_path / "spiece.model").write_bytes(b"read when the model is loaded")
    check_tokenizer(tmp_path, 40)


@pytest.mark.parametrize(("family", "same"), [("t5", True), ("llama", False)])
def test_the_end_that_an_export_adds_makes_no_other_tokenizer(
    tmp_path: Path, family: str, same: bool
) -> None:
    """kdsearch ends the prompts of encoder-decoders itself; of causal models it does not."""
    for name, processor in (("teacher", None), ("export", {"type": "TemplateProcessing"})):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": family}))
        content = {"model": {"vocab": {"a": 0}}, "post_processor": processor}
        (folder / "tokenizer.json").write_text(json.dumps(content))
    assert same_tokenizer(tmp_path / "teacher", tmp_path / "export") == same
