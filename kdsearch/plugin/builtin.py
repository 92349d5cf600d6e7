"""The core's own losses and ladders, as a plugin.

Only metadata: each implementation is named as a string and imported when it is built, so that
listing and validating never import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin.api import API, Ladder, Loss, Options, Shapes, Signal, Size, Student
from kdsearch.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

KDSEARCH_API = API


class AnswerCeConfig(Options):
    """Cross-entropy on the gold answer."""

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target probability spread over the vocabulary."""


class SoftLabelsConfig(Options):
    """Divergence from the teacher's next-token distribution."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Softens both distributions; value and gradient are scaled by its square."""


class HiddenMseConfig(Options):
    """Mean squared error between hidden states."""

    layers: Literal["last"] = "last"
    """Which layers are matched: the last of each stack."""
    stack: Literal["encoder", "decoder"] = "decoder"
    """Whose states are matched: the source's or the target's."""
    project: Literal["student", "teacher"] = "student"
    """Which side a learned projection maps to the other's width."""
    normalize: bool = False
    """Compare directions: states are divided by their norm over the width."""


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
class NamedLoss:
    """A loss term whose module is imported when it is built."""

    name: str
    version: str
    Config: type[BaseModel]
    needs: frozenset[Signal]
    implementation: str

    def build(self, config: Any, shapes: Shapes) -> nn.Module:
        """Import the implementation and build it."""
        module: nn.Module = _resolve(self.implementation)(config, shapes)
        return module


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
            listed.append(Size(name, facts.parameters, facts.embedding_parameters, recipe))
        return listed

    def build(self, size: Size, config: Any, teacher: ModelFacts, seed: int) -> Student:
        """Build a random model that shares the teacher's tokenizer."""
        student: Student = _resolve("kdsearch.distill.students:build_scratch")(size, teacher, seed)
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


def _resolve(implementation: str) -> Callable[..., Any]:
    module, _, attribute = implementation.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


@hookimpl
def kdsearch_losses() -> list[Loss]:
    """Offer the core's loss terms."""
    home = "kdsearch.distill.losses"
    none, logits, hidden = (
        frozenset[Signal](),
        frozenset({Signal.TOP_LOGITS}),
        frozenset({Signal.HIDDEN_STATES}),
    )
    return [
        NamedLoss("answer_ce", "1", AnswerCeConfig, none, f"{home}:AnswerCe"),
        NamedLoss("soft_labels", "1", SoftLabelsConfig, logits, f"{home}:SoftLabels"),
        NamedLoss("hidden_mse", "1", HiddenMseConfig, hidden, f"{home}:HiddenMse"),
    ]


@hookimpl
def kdsearch_ladders() -> list[Ladder]:
    """Offer the core's ladders."""
    return [ScratchLadder()]
