"""What the reasons of an answer teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.distill.passes import IGNORED

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.rereading import RationaleConfig


class Rationale(nn.Module):
    """Two tasks: (1 - share) CE(answer) / its tokens + share CE(rationale) / its tokens.

    Both are asked of the student in one pass, the rationale by a prefix (Hsieh et al. 2023, section
    3.2). A question without a rationale has the answer alone.
    """

    def __init__(self, config: RationaleConfig, shapes: Shapes) -> None:
        super().__init__()
        self.share = config.share
        self.prefixed = bool(config.predict)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from logits of both tasks (rows, target, vocabulary)."""
        counts = inputs.window_counts
        answer = inputs.views["predict"] if self.prefixed else inputs
        unit = "predict/target_tokens" if self.prefixed else "target_tokens"
        loss = (1.0 - self.share) * _ce(answer.student_logits, answer.labels) / counts[unit]
        if "explain" in inputs.views:
            told = inputs.views["explain"]
            reasons = _ce(told.student_logits, told.labels) / counts["explain/target_tokens"]
            loss = loss + self.share * reasons
        return loss


def _ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum the cross-entropy over tokens."""
    return functional.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
