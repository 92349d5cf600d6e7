"""What the relations between tokens in the teacher's attention teach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kdsearch.plugin import Signal
from kdsearch.plugin.attention import VECTORS

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.attention import AttentionRelationsConfig


class AttentionRelations(nn.Module):
    """Divergence of relations: sum over kinds, mean over heads, of sum KL(R_T || R_S) / tokens.

    R = softmax(A A' / sqrt(d)) with A the queries, the keys or the values of one layer, all heads
    side by side and split anew into relation heads of width d (MiniLMv2: Wang et al. 2021, section
    3.1). Nothing is projected: relations lie between tokens, whatever the width. In a decoder, a
    token is related to itself and those before it, as it attends to no others.
    """

    def __init__(self, config: AttentionRelationsConfig, shapes: Shapes) -> None:
        super().__init__()
        config.check(shapes)
        own, other = shapes.student, shapes.teachers[0]
        self.stack = config.stack_of(other)
        self.student_layer = own.depth(self.stack)
        self.teacher_layer = config.teacher_layer or other.depth(self.stack)
        self.heads = config.heads_of(shapes)
        self.widths = own.heads.widths, other.heads.widths
        self.chosen = [place for place, kind in enumerate(VECTORS) if kind in config.relations]
        self.whole = not own.encoder_decoder

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from vectors of both models (batch, tokens, widths)."""
        kind, stack = Signal.ATTENTION_RELATIONS, self.stack
        student = inputs.student_layer(kind, stack, self.student_layer)
        teacher = inputs.signals[kind.value][stack][self.teacher_layer]
        read = self.whole or stack == "encoder"
        real = inputs.read_mask if read else inputs.target_mask
        pairs = _pairs(real, earlier=stack == "decoder")
        split = zip(
            *(
                vectors.float().split(widths, dim=-1)
                for vectors, widths in zip((student, teacher), self.widths, strict=True)
            ),
            strict=True,
        )
        sums = [
            self._divergence(own, other, pairs)
            for place, (own, other) in enumerate(split)
            if place in self.chosen
        ]
        count = inputs.window_counts["read_tokens" if read else "target_tokens"]
        return torch.stack(sums).sum() / (self.heads * count)

    def _divergence(self, student: Tensor, teacher: Tensor, pairs: Tensor) -> Tensor:
        """Sum KL(R_T || R_S) over heads and tokens."""
        own, other = self._relations(student, pairs), self._relations(teacher, pairs)
        return (other.exp() * (other - own)).masked_fill(~pairs, 0.0).sum()

    def _relations(self, vectors: Tensor, pairs: Tensor) -> Tensor:
        """Return log-probabilities (batch, heads, tokens, tokens)."""
        parts = vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        products = parts @ parts.mT / math.sqrt(parts.shape[-1])
        lowest = torch.finfo(products.dtype).min
        logs: Tensor = products.masked_fill(~pairs, lowest).log_softmax(-1)
        return logs


def _pairs(real: Tensor, *, earlier: bool) -> Tensor:
    """Return which tokens are related to which, (batch, 1, tokens, tokens)."""
    pairs = real[:, :, None] & real[:, None, :]
    return (pairs.tril() if earlier else pairs)[:, None]
