"""The core's loss terms.

Every term computes in float32, sums over its own units (tokens) and divides by the count of these
units in the whole accumulation window, so that it is the same however a batch is split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from kdsearch.distill.divergences import forward_kl, jensen_shannon, reverse_kl, skew_kl
from kdsearch.distill.passes import IGNORED
from kdsearch.distill.top_logits import log_probabilities

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes, TopLogits
    from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig


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


class SoftLabels(nn.Module):
    """Divergence from the teacher: T^2 sum D(p_T, p_S) / target tokens.

    p = softmax(z / T) over the vocabulary that both models share; T^2 keeps the gradient's scale
    (Hinton et al. 2015, section 2). D is the divergence that `direction` names, zero when student
    and teacher agree.
    """

    def __init__(self, config: SoftLabelsConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = min(facts.vocabulary for facts in (shapes.student, *shapes.teachers))

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


class HiddenMse(nn.Module):
    """Squared distance of last hidden states: sum mean_width (W h_S - h_T)^2 / tokens.

    W is a learned projection without bias where the widths differ (Jiao et al. 2020, section 3),
    and the identity where they agree. With `normalize`, each state is first divided by its norm
    over the width (Sun et al. 2019, section 3.2).
    """

    def __init__(self, config: HiddenMseConfig, shapes: Shapes) -> None:
        super().__init__()
        self.stack = config.stack
        self.normalize = config.normalize
        self.project_student = config.project == "student"
        student, teacher = shapes.student.hidden, shapes.teachers[0].hidden
        source, target = (student, teacher) if self.project_student else (teacher, student)
        equal = source == target
        self.projection = nn.Identity() if equal else nn.Linear(source, target, bias=False)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from states of both models (batch, tokens, width)."""
        encoder = self.stack == "encoder"
        real = inputs.source_mask if encoder else inputs.target_mask
        units = "source_tokens" if encoder else "target_tokens"
        student = inputs.student_hidden[self.stack][-1][real].float()
        states = inputs.signals["hidden_states"][self.stack]
        teacher = states[max(states)][real].float()
        if self.project_student:
            student = self.projection(student)
        else:
            teacher = self.projection(teacher)
        if self.normalize:
            student = functional.normalize(student, dim=-1)
            teacher = functional.normalize(teacher, dim=-1)
        distance = torch.square(student - teacher).mean(dim=-1).sum()
        return distance / inputs.window_counts[units]
