"""The core's own losses and ladders, as a plugin.

Only metadata: each implementation is named as a string and imported when it is built, so that
listing and validating never import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kdsearch.plugin.api import API, Ladder, Loss, Options, Signal
from kdsearch.plugin.attention import AttentionRelationsConfig, check_stack
from kdsearch.plugin.cuts import DepthLadder, PruneLadder
from kdsearch.plugin.hookspecs import hookimpl
from kdsearch.plugin.ladders import PretrainedLadder, ScratchLadder
from kdsearch.plugin.layers import LayerChoice, layer_pairs
from kdsearch.plugin.named import NamedLoss
from kdsearch.plugin.rereading import AntiShortcutConfig, RationaleConfig
from kdsearch.plugin.signals import LayerSignal, SignalRequest

if TYPE_CHECKING:
    from kdsearch.facts import ModelFacts

KDSEARCH_API = API


class AnswerCeConfig(Options):
    """Cross-entropy on the answer."""

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target probability spread over the vocabulary."""
    labels: Literal["gold", "teacher"] = "gold"
    """Whose answers are learned: the right ones, or the teacher's own, greedy ones
    (sequence-level distillation, Kim & Rush 2016). The other terms then read them too."""

    @property
    def needs(self) -> frozenset[Signal]:
        """The teacher's signals that these options ask for."""
        return frozenset({Signal.TEXT}) if self.labels == "teacher" else frozenset()


class SoftLabelsConfig(Options):
    """Divergence from the teacher's next-token distribution."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Softens both distributions; value and gradient are scaled by its square."""
    direction: Literal["forward", "reverse", "jsd", "skew"] = "forward"
    """KL(teacher || student), KL(student || teacher), a mixture of both, or KL to a mixture."""
    beta: float = Field(default=0.5, gt=0.0, lt=1.0)
    """The teacher's share of the mixture under `jsd`."""
    skew: float = Field(default=0.1, gt=0.0, lt=1.0)
    """The teacher's share of the mixture under `skew`."""


class HiddenMseConfig(Options):
    """Distance between hidden states."""

    distance: Literal["mse", "cosine"] = "mse"
    """Mean squared error, or one minus the cosine."""
    layers: LayerChoice = "last"
    """Which layers are matched: the last; the student's all with the teacher's spread evenly
    (`uniform`), last (`last_k`) or at equal steps (`every_k`; both as in Patient-KD, which leaves
    the very last out); or pairs `[[student, teacher], ...]`, 0 the embeddings."""
    stack: Literal["encoder", "decoder"] = "decoder"
    """Whose states are matched: the source's or the target's."""
    project: Literal["student", "teacher"] = "student"
    """Which side a learned projection maps to the other's width, where the widths differ."""
    normalize: bool = False
    """Divide states by their norm over the width; the cosine does so anyway."""

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return which of the teacher's states are read.

        Raises:
            SpecError: If a layer is out of range, or the models have no such stack.
        """
        check_stack(self.stack, teacher)
        pairs = layer_pairs(self.layers, student_layers, teacher.depth(self.stack))
        kind = Signal.HIDDEN_STATES
        return SignalRequest(
            layers=tuple(LayerSignal(kind, self.stack, pair.teacher) for pair in pairs)
        )

    def warnings(self, teacher: ModelFacts) -> list[str]:
        """Say what will probably disappoint."""
        if self.project == "student":
            return []
        return ["project: teacher learns a map of the teacher's states, which can collapse to zero"]


class ChoiceScoresConfig(Options):
    """Divergence from the teacher over the options of each question."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Softens both distributions; value and gradient are scaled by its square."""


class UldConfig(Options):
    """Distance of sorted probabilities, for a teacher of other tokens (Boizard et al. 2024)."""

    largest: int = Field(default=64, gt=0, le=1_000_000)
    """How many probabilities are compared one by one; the others count as one."""

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return how many probabilities are read."""
        return SignalRequest(largest=min(self.largest, teacher.entries))


@hookimpl
def kdsearch_losses() -> list[Loss]:
    """Offer the core's loss terms."""
    home = "kdsearch.distill.losses"
    logits, hidden, attention, sorted_probabilities, choices = (
        frozenset({signal})
        for signal in (
            Signal.TOP_LOGITS,
            Signal.HIDDEN_STATES,
            Signal.ATTENTION_RELATIONS,
            Signal.SORTED_PROBABILITIES,
            Signal.CHOICE_SCORES,
        )
    )
    relations = AttentionRelationsConfig
    return [
        NamedLoss("answer_ce", "1", AnswerCeConfig, frozenset(), f"{home}:AnswerCe"),
        NamedLoss("soft_labels", "1", SoftLabelsConfig, logits, f"{home}:SoftLabels"),
        NamedLoss("hidden_mse", "2", HiddenMseConfig, hidden, f"{home}:HiddenMse"),
        NamedLoss("attention_relations", "1", relations, attention, f"{home}:AttentionRelations"),
        NamedLoss("choice_scores", "1", ChoiceScoresConfig, choices, f"{home}:ChoiceScores"),
        NamedLoss("uld", "1", UldConfig, sorted_probabilities, f"{home}:Uld"),
        NamedLoss("rationale", "1", RationaleConfig, frozenset(), f"{home}:Rationale"),
        NamedLoss("anti_shortcut", "1", AntiShortcutConfig, frozenset(), f"{home}:AntiShortcut"),
    ]


@hookimpl
def kdsearch_ladders() -> list[Ladder]:
    """Offer the core's ladders."""
    return [PretrainedLadder(), ScratchLadder(), DepthLadder(), PruneLadder()]
