"""Every loss of the core keeps the contract, and what breaks it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from kdsearch.plugin import Options
from kdsearch.plugin.builtin import kdsearch_losses
from kdsearch.testing import LossContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.plugin import LossInputs, Shapes

KEPT: Mapping[str, Mapping[str, Any]] = {
    "answer_ce": {"label_smoothing": 0.1},
    "soft_labels": {"temperature": 2.0, "direction": "jsd"},
    "hidden_mse": {"layers": "uniform"},
    "attention_relations": {"stack": "decoder"},
    "choice_scores": {"temperature": 2.0},
    "uld": {"largest": 20},
    "rationale": {"predict": "predict: "},
    "anti_shortcut": {"blank": 1.0},
}
LOSSES = {loss.name: loss for loss in kdsearch_losses()}
TESTS = [name for name in vars(LossContract) if name.startswith("test_")]


def contract(loss: Any, options: Mapping[str, Any], width: int = 16) -> LossContract:
    members = {"loss": loss, "options": options, "student_width": width}
    kept: LossContract = type("Kept", (LossContract,), members)()
    return kept


@pytest.mark.parametrize("name", KEPT)
def test_the_losses_of_the_core_keep_it(name: str) -> None:
    assert len(TESTS) >= 4, "the contract has lost its tests"
    width = 16 if name == "choice_scores" else 8
    for test in TESTS:
        getattr(contract(LOSSES[name], KEPT[name], width), test)()


def test_it_is_kept_by_all() -> None:
    assert KEPT.keys() == LOSSES.keys()


class Mean(nn.Module):
    """Divides by what is in the batch."""

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return the mean over the batch."""
        return torch.square(inputs.student_logits[inputs.target_mask]).sum(-1).mean()


class Padded(nn.Module):
    """Counts padding."""

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a sum over all places."""
        return inputs.student_logits.square().sum() / inputs.window_counts["target_tokens"]


class Detached(nn.Module):
    """Teaches nothing."""

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a sum without gradient, but in name."""
        total = inputs.student_logits.detach().sum() + 0.0 * inputs.student_logits.sum()
        return total / inputs.window_counts["target_tokens"]


class Idle(nn.Module):
    """Has weights of its own that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(2, 2)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a sum."""
        total = inputs.student_logits[inputs.target_mask].square().sum()
        return total / inputs.window_counts["target_tokens"]


class Endless(nn.Module):
    """Becomes infinite."""

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return infinity."""
        return (inputs.student_logits.sum() / 0.0) * torch.ones(())


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (Mean, "divide sums by inputs.window_counts"),
        (Padded, "leave padding out"),
        (Detached, "no weight of the student is moved"),
        (Idle, "a weight of its own is never moved"),
        (Endless, "it is -?inf|it is nan"),
    ],
)
def test_what_breaks_it_is_told(module: Any, told: str) -> None:
    class Broken:
        name, version, Config, needs = "broken", "1", Options, ()

        def build(self, config: Any, shapes: Shapes) -> nn.Module:
            built: nn.Module = module()
            return built

    def tested() -> None:
        for test in TESTS:
            getattr(contract(Broken(), {}), test)()

    with pytest.raises(AssertionError, match=told):
        tested()


def test_open_options_and_missing_attributes_are_told() -> None:
    class Open(Options, extra="allow"):
        """Takes anything."""

    class Loose:
        name, version, Config, needs = "loose", "1", Open, ()

        def build(self, config: Any, shapes: Shapes) -> nn.Module:
            return Mean()

    class Nameless:
        version, Config, needs = "1", Options, ()

    with pytest.raises(AssertionError, match="inherit Options"):
        contract(Loose(), {}).test_unknown_options_are_refused()
    with pytest.raises(AssertionError, match="is missing"):
        contract(Nameless(), {}).test_it_states_what_it_is()
