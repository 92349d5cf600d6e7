"""What the answer itself teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.distill.passes import IGNORED

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.builtin import AnswerCeConfig


class AnswerCe(nn.Module):
    """Cross-entropy on the answer: -sum log p_S(y) / target tokens.

    The answer is the gold one or, by `labels: teacher`, the teacher's (Kim & Rush 2016, section
    3.2): the labels of a batch are those already.

    With label smoothing e, the target distribution is (1 - e) on y plus e spread evenly
    (Szegedy et al. 2016, section 7).
    """

    def __init__(self, config: AnswerCeConfig, shapes: Shapes) -> None:
        super().__init__()
        self.smoothing = config.label_smoothing

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from logits (batch, target, vocabulary) and labels (batch, target)."""
        total = functional.cross_entropy(
            inputs.student_logits.float().flatten(0, 1),
            inputs.labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self.smoothing,
            reduction="sum",
        )
        return total / inputs.window_counts["target_tokens"]
