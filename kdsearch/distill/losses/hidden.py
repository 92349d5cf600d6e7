"""What the teacher's hidden states teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.plugin.layers import layer_pairs

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.builtin import HiddenMseConfig


class HiddenMse(nn.Module):
    """Distance of hidden states: the mean over layer pairs of sum d(W h_S, h_T) / tokens.

    d is the mean over the width of the squared difference (Jiao et al. 2020, section 3) or, by
    `distance: cosine`, one minus the cosine (Sanh et al. 2019, section 3). With `normalize`, each
    state is first divided by its norm over the width, and over nothing else (Sun et al. 2019,
    section 3.2). W is one learned projection without bias for all layers where the widths differ,
    and the identity where they agree.
    """

    def __init__(self, config: HiddenMseConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        own, other = shapes.student, shapes.teachers[0]
        depths = own.depth(config.stack), other.depth(config.stack)
        self.pairs = layer_pairs(config.layers, *depths)
        self.project_student = config.project == "student"
        widths = (own.hidden, other.hidden) if self.project_student else (other.hidden, own.hidden)
        equal = own.hidden == other.hidden
        self.projection = nn.Identity() if equal else nn.Linear(*widths, bias=False)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from states of both models (batch, tokens, width)."""
        stack = self.config.stack
        encoder = stack == "encoder"
        real = inputs.source_mask if encoder else inputs.target_mask
        units = "source_tokens" if encoder else "target_tokens"
        student, teacher = inputs.student_hidden[stack], inputs.signals["hidden_states"][stack]
        distances = [
            self._distance(student[own][real].float(), teacher[other][real].float())
            for own, other in self.pairs
        ]
        return torch.stack(distances).mean() / inputs.window_counts[units]

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Sum over (tokens, width)."""
        if self.project_student:
            student = self.projection(student)
        else:
            teacher = self.projection(teacher)
        if self.config.distance == "cosine":
            return (1.0 - functional.cosine_similarity(student, teacher, dim=-1)).sum()
        if self.config.normalize:
            student = functional.normalize(student, dim=-1)
            teacher = functional.normalize(teacher, dim=-1)
        return torch.square(student - teacher).mean(dim=-1).sum()
