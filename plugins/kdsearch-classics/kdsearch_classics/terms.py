"""The losses as modules. Each sums over its units and divides by those of the whole window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.plugin import Signal, layer_pairs

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, ModelFacts, Shapes
    from kdsearch_classics.options import MiniLmConfig, PatientKdConfig, TinyBertConfig


class Attending(NamedTuple):
    """Which tokens attend to which in a stack."""

    pairs: Tensor
    """(batch, attending tokens, attended tokens): true where both are real, and in a decoder the
    second is not later."""
    units: Tensor
    """Attending tokens of the whole accumulation window."""


def attending(inputs: LossInputs, stack: str, student: ModelFacts) -> Attending:
    """Return which tokens attend to which."""
    answers = student.encoder_decoder and stack == "decoder"
    real = inputs.target_mask if answers else inputs.read_mask
    pairs = real[:, :, None] & real[:, None, :]
    units = inputs.window_counts["target_tokens" if answers else "read_tokens"]
    return Attending(pairs.tril() if stack == "decoder" else pairs, units)


class TinyBert(nn.Module):
    """Distances summed over layers: embeddings, hidden states, scores of attention.

    L = sum MSE(E_S W_e, E_T) + sum_m MSE(H_S W_h, H_T) + sum_m MSE(A_S, A_T) with A the scores of
    attention before the softmax (Jiao et al. 2020, section 3.1), each a mean over tokens. Scores of
    pairs that are masked, by padding or by order, are left out.
    """

    def __init__(self, config: TinyBertConfig, shapes: Shapes) -> None:
        super().__init__()
        config.check(shapes)
        self.config = config
        self.student = shapes.student
        teacher = shapes.teachers[0]
        self.stack = config.stack_of(teacher)
        depths = self.student.depth(self.stack), teacher.depth(self.stack)
        self.pairs = layer_pairs("uniform", *depths)
        self.embeddings = _projection(self.student, teacher)
        self.hidden = _projection(self.student, teacher)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from states and scores of both models."""
        parts = []
        if self.config.embeddings:
            parts.append(self.config.embeddings * self._states(inputs, self.embeddings, 0, 0))
        for own, other in self.pairs:
            if self.config.hidden:
                parts.append(self.config.hidden * self._states(inputs, self.hidden, own, other))
            if self.config.attention:
                parts.append(self.config.attention * self._scores(inputs, own, other))
        return torch.stack(parts).sum()

    def _states(self, inputs: LossInputs, projection: nn.Module, own: int, other: int) -> Tensor:
        encoder = self.stack == "encoder"
        real = inputs.source_mask if encoder else inputs.target_mask
        student = inputs.student_hidden[self.stack][own][real].float()
        teacher = inputs.signals["hidden_states"][self.stack][other][real].float()
        total = torch.square(projection(student) - teacher).mean(-1).sum()
        return total / inputs.window_counts["source_tokens" if encoder else "target_tokens"]

    def _scores(self, inputs: LossInputs, own: int, other: int) -> Tensor:
        kind = Signal.ATTENTION_SCORES
        student = inputs.student_layer(kind, self.stack, own).float()
        teacher = inputs.signals[kind.value][self.stack][other].float()
        pairs, units = attending(inputs, self.stack, self.student)
        squares = torch.square(student - teacher).mean(-1).masked_fill(~pairs, 0.0)
        return (squares.sum(-1) / pairs.sum(-1).clamp(min=1)).sum() / units


class PatientKd(nn.Module):
    """Distance of normalised states: sum over layers of sum |h_S/|h_S| - h_T/|h_T||^2 / units.

    Units are examples, by the first token of the answer, or target tokens (Sun et al. 2019, section
    3.2; there it is the classifier's token).
    """

    def __init__(self, config: PatientKdConfig, shapes: Shapes) -> None:
        super().__init__()
        config.check(shapes)
        own, other = shapes.student.depth("decoder"), shapes.teachers[0].depth("decoder")
        self.pairs = layer_pairs(config.layers, own, other)
        self.first = config.tokens == "first"

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from states of both models (batch, tokens, width)."""
        real = inputs.target_mask.clone()
        if self.first:
            real[:, 1:] = False
        teacher = inputs.signals["hidden_states"]["decoder"]
        distances = [
            torch.square(
                functional.normalize(inputs.student_hidden["decoder"][own][real].float(), dim=-1)
                - functional.normalize(teacher[other][real].float(), dim=-1)
            ).sum()
            for own, other in self.pairs
        ]
        unit = "examples" if self.first else "target_tokens"
        return torch.stack(distances).sum() / inputs.window_counts[unit]


class MiniLm(nn.Module):
    """Divergence in one layer: mean over heads of sum KL(A_T || A_S) + KL(V_T || V_S), / tokens.

    A is the distribution of attention, V = softmax(values values' / sqrt(d)), of each head (Wang et
    al. 2020, sections 3.1 and 3.2).
    """

    def __init__(self, config: MiniLmConfig, shapes: Shapes) -> None:
        super().__init__()
        config.check(shapes)
        self.student, self.teacher = shapes.student, shapes.teachers[0]
        self.stack = config.stack_of(self.teacher)
        self.layers = (
            self.student.depth(self.stack),
            config.teacher_layer or self.teacher.depth(self.stack),
        )

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from scores and values of both models."""
        pairs, units = attending(inputs, self.stack, self.student)
        own, other = self.layers
        sides = []
        for kind in (Signal.ATTENTION_SCORES, Signal.ATTENTION_RELATIONS):
            student = inputs.student_layer(kind, self.stack, own).float()
            teacher = inputs.signals[kind.value][self.stack][other].float()
            sides.append((student, teacher))
        (scores, taught), (vectors, told) = sides
        attention = _divergence(scores.permute(0, 3, 1, 2), taught.permute(0, 3, 1, 2), pairs)
        values = _divergence(_related(vectors, self.student), _related(told, self.teacher), pairs)
        return (attention + values) / units


def _projection(student: ModelFacts, teacher: ModelFacts) -> nn.Module:
    """Return a learned map of the student's states to the teacher's width."""
    if student.hidden == teacher.hidden:
        return nn.Identity()
    return nn.Linear(student.hidden, teacher.hidden, bias=False)


def _related(vectors: Tensor, model: ModelFacts) -> Tensor:
    """Return the scaled products of a model's values, (batch, heads, tokens, tokens)."""
    heads = model.heads
    values = vectors.split(heads.widths, dim=-1)[2].unflatten(-1, (heads.keys, heads.width))
    values = values.transpose(1, 2)
    products: Tensor = values @ values.mT
    return products / math.sqrt(heads.width)


def _divergence(student: Tensor, teacher: Tensor, pairs: Tensor) -> Tensor:
    """Sum KL over tokens, as a mean over heads; logits are (batch, heads, tokens, tokens)."""
    seen = pairs[:, None]
    lowest = torch.finfo(student.dtype).min
    own, other = (
        logits.masked_fill(~seen, lowest).log_softmax(-1) for logits in (student, teacher)
    )
    total: Tensor = (other.exp() * (other - own)).masked_fill(~seen, 0.0).sum()
    return total / student.shape[1]
