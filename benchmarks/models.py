"""Models and rows that benchmarks measure on: random weights, since only time and bytes count."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from kdsearch.distill.data import Rows
from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin import Example

VOCABULARY = 8192


class Measures(NamedTuple):
    """What sizes a model."""

    width: int
    inner: int
    layers: int
    heads: int


TEACHER, STUDENT = Measures(512, 1536, 8, 8), Measures(192, 512, 4, 4)
"""About ten times as many parameters, one as the other."""


def made(family: str, measures: Measures, vocabulary: int = VOCABULARY) -> Any:
    """Make a model of family `llama` or `t5`, without dropout."""
    torch.manual_seed(0)
    width, inner, layers, heads = measures
    if family == "t5":
        config = T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=width // heads,
            d_ff=inner,
            num_layers=layers,
            num_heads=heads,
            dropout_rate=0.0,
        )
        config.decoder_start_token_id = 0  # as T5 checkpoints have it
        return T5ForConditionalGeneration(config)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            tie_word_embeddings=True,
            pad_token_id=0,
        )
    )


def facts(model: Any) -> ModelFacts:
    """Return the measures of a model with a tied head."""
    return facts_of_config(model.config.to_dict(), head_tied=True)


def rows_of(vocabulary: int, count: int, source: int, target: int) -> Rows:
    """Make rows of one length, so that padding plays no part."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, vocabulary, (count, source + target), generator=random).tolist()
    examples = [Example(str(row), "", 0, choices=("a", "b", "c")) for row in range(count)]
    return Rows(
        examples,
        [ids[:source] for ids in tokens],
        [ids[source:] for ids in tokens],
        [[[5], [6], [7]]] * count,
        0,
        ["abc"] * count,
    )


def parameters(model: Any) -> int:
    """Count a model's parameters."""
    return sum(weights.numel() for weights in model.parameters())
