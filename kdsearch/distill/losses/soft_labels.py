"""What the teacher's distribution over the next token teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from kdsearch.distill.divergences import forward_kl, jensen_shannon, reverse_kl, skew_kl
from kdsearch.distill.top_logits import log_probabilities

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes, TopLogits
    from kdsearch.plugin.builtin import SoftLabelsConfig


class SoftLabels(nn.Module):
    """Divergence from the teacher: T^2 sum D(p_T, p_S) / target tokens.

    p = softmax(z / T) over the tokens that both models share, without what pads a vocabulary; T^2
    keeps the gradient's scale (Hinton et al. 2015, section 2). D is the divergence that `direction`
    names, zero when student and teacher agree.
    """

    def __init__(self, config: SoftLabelsConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = min(facts.entries for facts in (shapes.student, *shapes.teachers))

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from logits of both models (batch, target, vocabulary)."""
        student = inputs.student_logits[inputs.target_mask][:, : self.vocabulary].float()
        teacher = inputs.signals["top_logits"]
        total = self._divergence(*self._log_probabilities(teacher, student, inputs.target_mask))
        return self.config.temperature**2 * total / inputs.window_counts["target_tokens"]

    def _log_probabilities(
        self, teacher: TopLogits, student: Tensor, real: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both distributions over one support: the vocabulary, or kept entries and tail."""
        temperature = self.config.temperature
        if teacher.ids is not None:
            tail = teacher.log_tails[temperature][real]
            return log_probabilities(
                student, teacher.logits[real], teacher.ids[real], tail, temperature
            )
        whole = teacher.logits[real][:, : self.vocabulary].float()
        return (whole / temperature).log_softmax(-1), (student / temperature).log_softmax(-1)

    def _divergence(self, teacher: Tensor, student: Tensor) -> Tensor:
        match self.config.direction:
            case "reverse":
                return reverse_kl(teacher, student)
            case "jsd":
                return jensen_shannon(teacher, student, self.config.beta)
            case "skew":
                return skew_kl(teacher, student, self.config.skew)
            case _:
                return forward_kl(teacher, student)
