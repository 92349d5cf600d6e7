"""Ladders of students made from measures, and of models that exist already.

Building is left to `kdsearch.distill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from kdsearch.facts import (
    ModelFacts,
    check_tokenizer,
    facts_of_config,
    facts_of_folder,
    same_tokenizer,
)
from kdsearch.model_folders import located, model_folder
from kdsearch.plugin.api import Options, Size, Student
from kdsearch.plugin.file_names import FileName

if TYPE_CHECKING:
    from collections.abc import Callable


LARGEST_WIDTH = 1_000_000
MOST_LAYERS = 10_000
MOST_HEADS = 10_000
MOST_SIZES = 1_000
"""Far beyond any model, so that a slip of the hand is told and not allocated."""


class ScratchSize(Options):
    """The measures of one model."""

    d_model: int = Field(gt=0, le=LARGEST_WIDTH)
    d_ff: int = Field(gt=0, le=LARGEST_WIDTH)
    layers: int = Field(gt=0, le=MOST_LAYERS)
    heads: int = Field(gt=0, le=MOST_HEADS)
    d_kv: int | None = Field(default=None, gt=0, le=LARGEST_WIDTH)
    """Width of one head; `d_model / heads` unless given."""
    kv_heads: int | None = Field(default=None, gt=0, le=MOST_HEADS)
    """Of a llama: heads of keys and values, each shared by a group; `heads` unless given."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class ScratchConfig(Options):
    """Randomly initialised models of one family."""

    family: Literal["t5", "llama"]
    """The architecture."""
    sizes: Mapping[FileName, ScratchSize] = Field(min_length=1, max_length=MOST_SIZES)
    """The measures of each size, by the size's name."""


@dataclass(frozen=True)
class ScratchLadder:
    """Students made from measures alone, with the teacher's vocabulary."""

    name: str = "scratch"
    Config: type[BaseModel] = ScratchConfig

    def sizes(self, config: Any, teacher: ModelFacts) -> list[Size]:
        """Count each configuration by its family's formula."""
        listed = []
        for name, measures in config.sizes.items():
            recipe = scratch_model_config(config.family, measures, teacher.vocabulary)
            facts = facts_of_config(recipe, head_tied=True)
            size = Size(name, facts.parameters, facts.embedding_parameters, recipe)
            listed.append(replace(size, layers=facts.layers, config=recipe))
        return listed

    def build(self, size: Size, config: Any, teacher: ModelFacts, seed: int) -> Student:
        """Build a random model that shares the teacher's tokenizer."""
        student: Student = resolve("kdsearch.distill.students:build_scratch")(size, teacher, seed)
        return student


def scratch_model_config(family: str, measures: ScratchSize, vocabulary: int) -> dict[str, Any]:
    """Return the model configuration, as in `config.json`, of a model made from measures."""
    width = measures.d_kv or max(1, measures.d_model // measures.heads)
    if family == "llama":
        return {
            "model_type": family,
            "vocab_size": vocabulary,
            "hidden_size": measures.d_model,
            "head_dim": width,
            "intermediate_size": measures.d_ff,
            "num_hidden_layers": measures.layers,
            "num_attention_heads": measures.heads,
            "num_key_value_heads": measures.kv_heads or measures.heads,
            "attention_dropout": measures.dropout,
            "tie_word_embeddings": True,
        }
    return {
        "model_type": family,
        "vocab_size": vocabulary,
        "d_model": measures.d_model,
        "d_kv": width,
        "d_ff": measures.d_ff,
        "num_layers": measures.layers,
        "num_heads": measures.heads,
        "dropout_rate": measures.dropout,
    }


class PretrainedConfig(Options):
    """Models that exist already."""

    models: Mapping[str, str] = Field(min_length=1, max_length=MOST_SIZES)
    """A folder, or a model of the hub such as `google/flan-t5-small`, by the size's name."""

    def located(self) -> PretrainedConfig:
        """Return the same models by names that mean the same anywhere: see `located`."""
        return PretrainedConfig(
            models={name: located(model) for name, model in self.models.items()}
        )


@dataclass(frozen=True)
class PretrainedLadder:
    """Students that are trained models already, each with its own tokenizer."""

    name: str = "pretrained"
    Config: type[BaseModel] = PretrainedConfig

    def sizes(self, config: Any, teacher: ModelFacts) -> list[Size]:
        """Count each model by the header of its weights.

        Raises:
            ModelError: If one is no model folder, or has no tokenizer that fits it.
        """
        return [_stored_size(name, model, teacher) for name, model in config.models.items()]

    def build(self, size: Size, config: Any, teacher: ModelFacts, seed: int) -> Student:
        """Load the model with its own tokenizer."""
        folder = model_folder(config.models[size.name])
        student: Student = resolve("kdsearch.distill.loading:load_student")(folder)
        return student


def _stored_size(name: str, model: str, teacher: ModelFacts) -> Size:
    folder = model_folder(model)
    facts = facts_of_folder(folder)
    check_tokenizer(folder, facts.vocabulary)
    return Size(
        name,
        facts.parameters,
        facts.embedding_parameters,
        {"model": model},
        head_tied=facts.head_tied,
        layers=facts.layers,
        config=facts.config,
        other_tokens=teacher.path is None or not same_tokenizer(folder, Path(teacher.path)),
    )


def resolve(implementation: str) -> Callable[..., Any]:
    """Import what a string such as `module:attribute` names."""
    module, _, attribute = implementation.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
