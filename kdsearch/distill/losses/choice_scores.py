"""What the teacher's scores of the options teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from kdsearch.distill.choices import ABSENT, log_shares
from kdsearch.distill.divergences import forward_kl

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.builtin import ChoiceScoresConfig


class ChoiceScores(nn.Module):
    """Divergence from the teacher over the options: T^2 sum KL(p_T || p_S) / examples.

    p = softmax(s / T) over the log-likelihoods s of an example's options. It asks nothing of the
    teacher's vocabulary, so the two may differ in it.
    """

    def __init__(self, config: ChoiceScoresConfig, shapes: Shapes) -> None:
        super().__init__()
        self.temperature = config.temperature

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from scores of both models (batch, options)."""
        if inputs.choice_scores is None:
            raise ValueError("the student has scored no options")
        given = inputs.signals["choice_scores"]
        real = given != ABSENT
        teacher = log_shares(given.float() / self.temperature, real)
        student = log_shares(inputs.choice_scores.float() / self.temperature, real)
        total = forward_kl(teacher[real], student[real])
        return self.temperature**2 * total / inputs.window_counts["examples"]
