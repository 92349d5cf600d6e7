"""The ladder of students made from measures; building is left to `kdsearch.distill`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin.api import Options, Size, Student

if TYPE_CHECKING:
    from collections.abc import Callable


class ScratchSize(Options):
    """The measures of one model."""

    d_model: int = Field(gt=0)
    d_ff: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    d_kv: int | None = Field(default=None, gt=0)
    """Width of one head; `d_model / heads` unless given."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class ScratchConfig(Options):
    """Randomly initialised models of one family."""

    family: Literal["t5"]
    """The architecture."""
    sizes: Mapping[str, ScratchSize] = Field(min_length=1)
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
    return {
        "model_type": family,
        "vocab_size": vocabulary,
        "d_model": measures.d_model,
        "d_kv": measures.d_kv or max(1, measures.d_model // measures.heads),
        "d_ff": measures.d_ff,
        "num_layers": measures.layers,
        "num_heads": measures.heads,
        "dropout_rate": measures.dropout,
    }


def resolve(implementation: str) -> Callable[..., Any]:
    """Import what a string such as `module:attribute` names."""
    module, _, attribute = implementation.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
