"""Tiny models and rows for the tests of distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdsearch.distill.capture import capture
from kdsearch.distill.data import Rows, encode
from kdsearch.distill.store import SignalStore
from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin import Answer, Example, Options, Prompt, Scores, Use
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.models import PromptFormat

if TYPE_CHECKING:
    from collections.abc import Callable


class Sums:
    """Sums up to 9 + 9, answered in text."""

    name = "sums"
    version = "1"
    Options = Options
    answer = Answer.NUMBER
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 3
    stop = ()

    def load(self, options: Any) -> list[Example]:
        return [
            Example(f"{a}+{b}", f"{a}+{b}=", str(a + b), group="small" if a < 3 else "large")
            for a in range(10)
            for b in range(10)
        ]

    def format(self, example: Example, options: Any) -> Prompt:
        return Prompt(target=str(example.answer), text=example.question)

    def score(self, predictions: Any, examples: Any) -> Scores:
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(p.text == e.answer) for p, e in pairs]})


class Bigger(Sums):
    """Which of two numbers is bigger, as a choice between their texts."""

    name = "bigger"
    answer = Answer.CHOICE

    def load(self, options: Any) -> list[Example]:
        pairs = [(a, b) for a in range(0, 30, 3) for b in range(1, 120, 7) if a != b]
        return [
            Example(f"{a},{b}", f"{a} or {b}?", int(b > a), choices=(str(a), str(b)))
            for a, b in pairs
        ]

    def format(self, example: Example, options: Any) -> Prompt:
        target = example.choices[int(example.answer)]
        return Prompt(target=target, text=example.question, choices=example.choices)

    def score(self, predictions: Any, examples: Any) -> Scores:
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(p.choice == e.answer) for p, e in pairs]})


class Built(NamedTuple):
    """A model with its measures."""

    model: Any
    facts: ModelFacts


def build(
    width: int, seed: int = 0, vocabulary: int = 259, layers: int = 2, heads: int = 2
) -> Built:
    """Build a tiny T5 without dropout."""
    measures = ScratchSize(d_model=width, d_ff=2 * width, layers=layers, heads=heads)
    config = scratch_model_config("t5", measures, vocabulary)
    facts = facts_of_config(config, head_tied=True)
    return Built(random_model(config, byte_tokenizer(), seed), facts)


def build_causal(
    width: int, seed: int = 0, vocabulary: int = 259, layers: int = 2, *, tied: bool = True
) -> Built:
    """Build a tiny Llama with grouped key-value heads."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    torch.manual_seed(seed)
    facts = facts_of_config(config.to_dict(), head_tied=tied)
    return Built(LlamaForCausalLM(config), facts)


@pytest.fixture(scope="session")
def tiny_causal() -> Callable[..., Built]:
    return build_causal


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Built]:
    return build


@pytest.fixture(scope="session")
def stored() -> Callable[..., SignalStore]:
    """Return what computes and opens a store: of a folder, a teacher, rows and a request."""
    return lambda folder, model, rows, request: SignalStore(
        capture(folder, "teacher", rows, request, lambda: model).path
    )


@pytest.fixture(scope="session")
def sums() -> Sums:
    return Sums()


@pytest.fixture(scope="session")
def bigger() -> Bigger:
    return Bigger()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return byte_tokenizer()


@pytest.fixture(scope="session")
def rows(tokenizer: Any, sums: Sums) -> Rows:
    return encode(sums.load(None), sums, None, tokenizer, PromptFormat())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
