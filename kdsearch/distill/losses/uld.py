"""What the shape of the teacher's distribution teaches, whatever its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.plugin import Signal

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.builtin import UldConfig


class Uld(nn.Module):
    """Sorted L1: the sum over tokens of sum_i |p_S(i) - p_T(i)|, / target tokens.

    p(i) is the i-th largest probability of the next token, so that no entry of a vocabulary need
    mean the same to both (Boizard et al. 2024, section 3.2). The teacher reads and predicts the
    question in its own tokens; tokens are compared one by one from the answer's first, as far as
    both go. The probabilities beyond the `largest` count as one.
    """

    def __init__(self, config: UldConfig, shapes: Shapes) -> None:
        super().__init__()
        self.largest = config.largest
        self.vocabulary = shapes.student.entries

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from logits (batch, target, vocabulary) and sorted probabilities."""
        given = inputs.signals[Signal.SORTED_PROBABILITIES.value].float()
        tokens = min(given.shape[1], inputs.target_mask.shape[1])
        teacher = given[:, :tokens, : self.largest]
        real = inputs.target_mask[:, :tokens] & (teacher[..., 0] > 0.0)
        logits = inputs.student_logits[:, :tokens][real][:, : self.vocabulary].float()
        count = min(self.largest, logits.shape[-1])
        own = logits.softmax(-1).topk(count, dim=-1).values
        other = teacher[real]
        width = max(count, other.shape[-1])
        own, other = (functional.pad(each, (0, width - each.shape[-1])) for each in (own, other))
        kept = (own - other).abs().sum(-1)
        rest = (own.sum(-1) - other.sum(-1)).abs()
        return (kept + rest).sum() / inputs.window_counts["target_tokens"]
