"""Builds models from measures, and the tokenizers of those that bring none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerFast, set_seed

from kdsearch.distill.loading import load_tokenizer, made_config, new_model
from kdsearch.distill.tokenizing import byte_backend
from kdsearch.errors import ModelError
from kdsearch.plugin import ModelFacts, Size, Student

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from kdsearch.plugin import Domain


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer that knows every byte and nothing else.

    Models from scratch use it where their domain brings none. Entries: pad 0, eos 1, unk 2, then
    the 256 bytes.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_backend(), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def domain_tokenizer(domain: Domain, options: Any) -> PreTrainedTokenizerBase:
    """Return the tokenizer that models from scratch get: the domain's own, or of single bytes.

    Raises:
        ModelError: If the domain's is none.
    """
    own = getattr(domain, "tokenizer", None)
    return load_tokenizer(Path(own(options))) if own else byte_tokenizer()


def random_model(measures: Any, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """Build a randomly initialised model from a `config.json`-like mapping."""
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if measures["model_type"] == "t5":
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    config = made_config({**measures, "bos_token_id": None, **ids})
    set_seed(seed)
    return new_model(config)


def build_scratch(size: Size, teacher: ModelFacts, seed: int) -> Student:
    """Build the random student of one size with the teacher's tokenizer."""
    if teacher.path is None:
        raise ModelError("the teacher has no folder to take the tokenizer from")
    tokenizer = load_tokenizer(Path(teacher.path))
    return Student(random_model(size.recipe, tokenizer, seed), tokenizer)


def count_parameters(model: Any) -> int:
    """Count the parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
