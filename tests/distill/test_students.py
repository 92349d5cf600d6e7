"""Students: exact counts, deterministic weights, tokenizers, clear errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.distill.loading import load_model, load_tokenizer
from kdsearch.distill.students import byte_tokenizer, count_parameters, random_model
from kdsearch.errors import ModelError
from kdsearch.facts import facts_of_config, facts_of_folder

if TYPE_CHECKING:
    from pathlib import Path


@settings(max_examples=15)
@given(
    width=st.sampled_from([8, 12]),
    heads=st.integers(1, 3),
    layers=st.integers(1, 3),
    decoder_layers=st.integers(1, 3),
    gated=st.booleans(),
)
def test_the_formula_counts_what_is_built(
    width: int, heads: int, layers: int, decoder_layers: int, gated: bool
) -> None:
    config = {
        "model_type": "t5",
        "vocab_size": 50,
        "d_model": width,
        "d_kv": 4,
        "d_ff": 10,
        "num_layers": layers,
        "num_decoder_layers": decoder_layers,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }
    model: Any = random_model(config, byte_tokenizer(), 0)
    facts = facts_of_config(config, head_tied=True)
    assert facts.parameters == count_parameters(model)
    assert facts.embedding_parameters == model.get_input_embeddings().weight.numel()


def test_a_stored_model_is_counted_from_its_header(tiny: Any, tmp_path: Path) -> None:
    built = tiny(8)
    built.model.save_pretrained(tmp_path)
    facts = facts_of_folder(tmp_path)
    assert (facts.parameters, facts.layers, facts.hidden) == (built.facts.parameters, 2, 8)
    assert facts.head_tied


def test_a_seed_fixes_the_weights(tiny: Any) -> None:
    first, same, other = (tiny(8, seed=seed).model for seed in (1, 1, 2))
    pairs = zip(first.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.shared.weight, other.shared.weight)


@pytest.mark.parametrize("text", ["12 + 3 = é", "", "a\nb\tc", "日本"])
def test_the_byte_tokenizer_keeps_every_text(text: str, tmp_path: Path) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer) == 259


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model could be loaded"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer could be loaded"):
        load_tokenizer(tmp_path)
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        facts_of_folder(tmp_path)
