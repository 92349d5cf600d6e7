"""The core's own ladders: sizes with exact counts; building is left to `kdsearch.distill`.

Each builder is named as a string and imported when a student is built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from kdsearch.errors import SpecError
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
            listed.append(replace(size, layers=facts.layers))
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


class DepthConfig(Options):
    """Students that keep some of the teacher's own layers."""

    layers: tuple[int | tuple[int, ...], ...] = Field(min_length=1)
    """Of each student: how many layers, spread evenly with the first and the last kept, or which
    ones, counted from 0."""
    freeze_embeddings: bool = False
    """Leave the embeddings as the teacher has them."""


@dataclass(frozen=True)
class DepthLadder:
    """Students cut from the teacher: whole layers go, everything else stays (Sanh et al. 2019)."""

    name: str = "depth"
    Config: type[BaseModel] = DepthConfig
    needs_model: bool = True

    def sizes(self, config: Any, teacher: ModelFacts) -> list[Size]:
        """Count each choice of layers by the family's formula.

        Raises:
            SpecError: If layers are out of the teacher's range or repeated.
        """
        listed = []
        for asked in config.layers:
            kept = kept_layers(asked, teacher.layers)
            recipe = depth_model_config(teacher, len(kept))
            facts = facts_of_config(recipe, head_tied=teacher.head_tied)
            listed.append(
                Size(
                    f"{len(kept)}L" if isinstance(asked, int) else "L" + ".".join(map(str, kept)),
                    facts.parameters,
                    facts.embedding_parameters,
                    {"config": recipe, "layers": list(kept)},
                    teacher.head_tied,
                    facts.layers,
                )
            )
        repeated = [name for name, count in Counter(s.name for s in listed).items() if count > 1]
        if repeated:
            raise SpecError(f"listed twice: {', '.join(repeated)}", where="ladder.layers")
        return listed

    def build(self, size: Size, config: Any, teacher: ModelFacts, seed: int) -> Student:
        """Copy the kept layers of the teacher into a model of their own."""
        build = resolve("kdsearch.distill.depth:build_depth")
        student: Student = build(size, teacher, freeze_embeddings=config.freeze_embeddings)
        return student


def kept_layers(asked: int | tuple[int, ...], layers: int) -> tuple[int, ...]:
    """Return which of a teacher's layers a student keeps.

    Args:
        asked: A count, spread evenly with the first and the last kept (one alone is the first), or
            the layers themselves.
        layers: How many the teacher has.

    Raises:
        SpecError: If there are not so many, or a layer is repeated or out of range.
    """
    where = "ladder.layers"
    if isinstance(asked, int):
        if not 1 <= asked <= layers:
            raise SpecError(f"{asked} layers asked of a teacher with {layers}", where=where)
        return tuple(round(at * (layers - 1) / max(1, asked - 1)) for at in range(asked))
    if not asked or any(not 0 <= layer < layers for layer in asked):
        raise SpecError(f"{list(asked)}: allowed are layers 0 to {layers - 1}", where=where)
    if list(asked) != sorted(set(asked)):
        raise SpecError(f"{list(asked)}: name each layer once, in order", where=where)
    return asked


def depth_model_config(teacher: ModelFacts, layers: int) -> dict[str, Any]:
    """Return the teacher's configuration with another number of layers in each stack.

    Raises:
        SpecError: If an encoder-decoder's stacks differ in depth.
    """
    config = dict(teacher.config)
    if not teacher.encoder_decoder:
        if isinstance(config.get("layer_types"), list):
            config["layer_types"] = config["layer_types"][:layers]
        return {**config, "num_hidden_layers": layers}
    if (config.get("num_decoder_layers") or teacher.layers) != teacher.layers:
        raise SpecError(
            "the teacher's encoder and decoder differ in depth", where="ladder", fix="use scratch"
        )
    return {**config, "num_layers": layers, "num_decoder_layers": layers}


def resolve(implementation: str) -> Callable[..., Any]:
    """Import what a string such as `module:attribute` names."""
    module, _, attribute = implementation.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
