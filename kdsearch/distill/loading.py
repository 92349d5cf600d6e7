"""The only place that asks transformers to load: models, configurations and tokenizers.

Code in a model folder is never run, and nothing is downloaded. Datasets are loaded by
`kdsearch.plugin.hub`, under the same rule. Torch and transformers are imported when something is
loaded: `kdsearch plan` needs a tokenizer alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from kdsearch.errors import ModelError
from kdsearch.plugin import Student
from kdsearch.spec.teachers import TeacherType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import (
        GenerationConfig,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )


def load_config(folder: Path) -> PreTrainedConfig:
    """Load the configuration of a model folder; code in the folder is never run.

    Raises:
        ModelError: If the folder holds none, or one of a model that its own code defines.
    """
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _refusal("model", folder, error) from error
    if "/" in str(config._attn_implementation):  # the hub's name of a compiled kernel
        raise ModelError(
            f"its attention is code of the hub, {config._attn_implementation}, and kdsearch never "
            "runs such code",
            where=str(folder / "config.json"),
            fix="delete attn_implementation there",
        )
    return config


def load_generation_config(folder: Path) -> GenerationConfig:
    """Load how a stored model generates; of a folder that does not say it, as its model's sort.

    Raises:
        ModelError: If the folder is no model folder.
    """
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").is_file():
        return GenerationConfig.from_model_config(load_config(folder))
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _refusal("generation config", folder, error) from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder; code in the folder is never run.

    Raises:
        ModelError: If the folder holds no tokenizer, or one without an end or padding token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _refusal("tokenizer", folder, error) from error
    if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError("its tokenizer lacks an end or a padding token", where=str(folder))
    return tokenizer


def load_model(folder: Path) -> PreTrainedModel:
    """Load a stored model in float32; code in the folder is never run.

    Raises:
        ModelError: If the folder is no model folder.
    """
    auto = _auto(load_config(folder))
    try:
        return auto.from_pretrained(  # type: ignore[no-any-return]  # Auto classes are untyped
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="float32",
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise _refusal("model", folder, error) from error


def made_config(measures: Mapping[str, Any]) -> PreTrainedConfig:
    """Return the configuration that a `config.json`-like mapping describes."""
    from transformers import AutoConfig

    return AutoConfig.for_model(**measures)


def new_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Return a randomly initialised model; code that its configuration names is never run."""
    return _auto(config).from_config(config, trust_remote_code=False)  # type: ignore[no-any-return]


def _auto(config: PreTrainedConfig) -> Any:
    """Return the class that loads a model to generate with."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def _refusal(what: str, folder: Path, error: Exception) -> ModelError:
    """Say why something could not be loaded, without the advice to run its code."""
    if "trust_remote_code" in str(error):
        return ModelError(
            f"its {what} is defined by code in the folder, and kdsearch never runs such code",
            where=str(folder),
            fix="use a model of a family that transformers itself knows",
        )
    reason = " ".join(str(error).split())
    return ModelError(f"no {what} could be loaded: {reason}", where=str(folder))


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
    import torch
    from transformers.utils.logging import disable_progress_bar

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
    import torch

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
