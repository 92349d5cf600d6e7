"""Builds and loads models: students and teachers made from measures, stored models, tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedTokenizerFast,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar

from kdsearch.distill.tokenizing import byte_backend, load_tokenizer
from kdsearch.errors import ModelError
from kdsearch.plugin import ModelFacts, Size, Student
from kdsearch.spec.teachers import TeacherType

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


def load_model(folder: Path) -> PreTrainedModel:
    """Load a stored model in float32; code in the folder is never run.

    Raises:
        ModelError: If the folder is no model folder.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        auto: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        return auto.from_pretrained(  # type: ignore[no-any-return]  # Auto classes are untyped
            folder, local_files_only=True, use_safetensors=True, dtype="float32"
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"no model could be loaded: {error}", where=str(folder)) from error


def load_student(
    folder: Path, device: str = "auto", dtype: TeacherType = TeacherType.AUTO
) -> Student:
    """Load a stored model with its tokenizer to answer.

    Args:
        folder: Of the model.
        device: `auto`, the GPU if there is one; `cpu`; or a GPU such as `cuda:1`.
        dtype: bf16, or else float32.

    Raises:
        ModelError: If the folder holds no model, or no tokenizer that fits it, or there is no such
            device.
    """
    disable_progress_bar()  # of the weights of one model: it takes a second
    stored = Student(load_model(folder).eval(), load_tokenizer(folder))
    check_fit(stored.model, stored.tokenizer, folder)
    if dtype is TeacherType.BF16:
        stored.model.to(torch.bfloat16)
    if device != "auto":
        _check_device(device)
        stored.model.to(device)
    elif torch.cuda.is_available():
        stored.model.to("cuda")
    return stored


def _check_device(device: str) -> None:
    """Refuse a GPU that is not there."""
    kind, _, number = device.partition(":")
    count = torch.cuda.device_count()
    if kind == "cuda" and int(number) >= count:
        raise ModelError(
            f"there is no device {device}: this machine has {count} GPUs",
            fix="set device: auto",
        )


def check_fit(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Refuse a tokenizer that gives ids beyond its model's embeddings.

    Raises:
        ModelError: If it does.
    """
    highest, embeddings = max(tokenizer.get_vocab().values()), model.config.vocab_size
    if highest >= embeddings:
        raise ModelError(
            f"the tokenizer has {highest + 1:,} entries and the model {embeddings:,} embeddings",
            where=str(folder),
            fix="it belongs to another model: save the model's own beside it",
        )


def random_model(measures: Any, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """Build a randomly initialised model from a `config.json`-like mapping."""
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if measures["model_type"] == "t5":
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    config = AutoConfig.for_model(**{**measures, "bos_token_id": None, **ids})
    set_seed(seed)
    auto: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return auto.from_config(config)  # type: ignore[no-any-return]  # untyped


def build_scratch(size: Size, teacher: ModelFacts, seed: int) -> Student:
    """Build the random student of one size with the teacher's tokenizer."""
    if teacher.path is None:
        raise ModelError("the teacher has no folder to take the tokenizer from")
    tokenizer = load_tokenizer(Path(teacher.path))
    return Student(random_model(size.recipe, tokenizer, seed), tokenizer)


def count_parameters(model: Any) -> int:
    """Count the parameters of a model, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
