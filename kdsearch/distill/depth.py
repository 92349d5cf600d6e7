"""Builds students from a teacher's own layers."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.students import load_model, load_tokenizer
from kdsearch.errors import ModelError
from kdsearch.plugin import Student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin import ModelFacts, Size

LAYER = re.compile(r"^(.*\b(?:layers|block)\.)(\d+)(\..+)$")
"""Splits a weight's name at its layer's number, in Llama's and in T5's naming."""

POSITIONS = "layer.0.SelfAttention.relative_attention_bias.weight"
"""T5 keeps the position biases of a whole stack in its block 0 alone."""


def build_depth(size: Size, teacher: ModelFacts, *, freeze_embeddings: bool) -> Student:
    """Copy the layers of a size's recipe into a model of their own.

    Everything outside the layers is copied as it is, an untied head included.
    """
    if teacher.path is None:
        raise ModelError("the teacher has no folder to take layers from")
    source = load_model(Path(teacher.path))
    student = cut(source, size.recipe["layers"])
    if freeze_embeddings:
        student.get_input_embeddings().weight.requires_grad_(False)
    return Student(student, load_tokenizer(Path(teacher.path)))


def cut(source: Any, kept: Sequence[int]) -> Any:
    """Return a model of the same kind with only the kept layers of each stack, in order."""
    config = copy.deepcopy(source.config)
    if config.is_encoder_decoder:
        config.num_layers = config.num_decoder_layers = len(kept)
    else:
        config.num_hidden_layers = len(kept)
        if getattr(config, "layer_types", None):
            config.layer_types = [config.layer_types[layer] for layer in kept]
    student = type(source)(config)
    head, table = source.get_output_embeddings(), source.get_input_embeddings()
    if head.weight is not table.weight and student.get_output_embeddings().weight is (
        student.get_input_embeddings().weight
    ):
        untied = torch.nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
        student.set_output_embeddings(untied)
    student.load_state_dict(kept_weights(source.state_dict(), kept))
    return student


def kept_weights(weights: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """Return the weights of a model that keeps some layers, under their new numbers."""
    places = {layer: place for place, layer in enumerate(kept)}
    chosen = {}
    for name, value in weights.items():
        match = LAYER.match(name)
        if match is None:
            chosen[name] = value
        elif int(match[2]) in places:
            chosen[f"{match[1]}{places[int(match[2])]}{match[3]}"] = value
        elif int(match[2]) == 0 and match[3].endswith(POSITIONS):
            chosen[name] = value
    return chosen
