"""What keeps a student from answers that do not come from the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kdsearch.distill.choices import ABSENT, log_shares
from kdsearch.distill.divergences import jensen_shannon

if TYPE_CHECKING:
    from kdsearch.plugin import LossInputs, Shapes
    from kdsearch.plugin.rereading import AntiShortcutConfig

LEAST_SHARE = 1e-4
"""Of an option in the prior, so that one which is never right costs no more than all others."""


class AntiShortcut(nn.Module):
    """Weighted sum of up to three penalties, p the student's distribution over the options.

    * prior: KL(mean over the batch of p || shares of the right options in training), times the
      batch's share of the window's examples;
    * permutation: JS(p || p with the options in other places) / examples, 0 where an answer goes
      with its option;
    * blank: KL(p without the question || uniform) / examples, the confidence that Pereyra et al.
      2017 penalise, where there is nothing to be confident of.
    """

    shares: Tensor

    def __init__(self, config: AntiShortcutConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        shares = torch.tensor(shapes.option_shares).clamp(min=LEAST_SHARE)
        self.register_buffer("shares", shares / shares.sum(), persistent=False)

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return a scalar from scores of options (batch, options)."""
        parts = [inputs.student_logits.new_zeros((), dtype=torch.float32)]
        if self.config.prior:
            parts.append(self.config.prior * self._prior(inputs))
        if self.config.permutation and "permuted" in inputs.views:
            parts.append(self.config.permutation * self._permutation(inputs))
        if self.config.blank and "blank" in inputs.views:
            parts.append(self.config.blank * self._blank(inputs))
        return torch.stack(parts).sum()

    def _prior(self, inputs: LossInputs) -> Tensor:
        logs, real = _log_shares(inputs.choice_scores)
        mean = logs.exp().masked_fill(~real, 0.0).mean(0)
        prior = self.shares[: len(mean)]
        part = len(logs) / inputs.window_counts["examples"]
        total: Tensor = (torch.special.xlogy(mean, mean) - mean * prior.log()).sum()
        return total * part

    def _permutation(self, inputs: LossInputs) -> Tensor:
        view = inputs.views["permuted"]
        usual, real = _log_shares(inputs.choice_scores)
        turned, _ = _log_shares(view.choice_scores)
        usual, real = usual[view.rows], real[view.rows]
        width = turned.shape[1]  # the longest question may not be among the view's
        usual, real = usual[:, :width], real[:, :width]
        total = jensen_shannon(usual[real], turned[real], 0.5)
        return total / inputs.window_counts["permuted/examples"]

    def _blank(self, inputs: LossInputs) -> Tensor:
        logs, real = _log_shares(inputs.views["blank"].choice_scores)
        options = real.sum(-1, keepdim=True)
        total = (logs.exp() * (logs + options.log())).masked_fill(~real, 0.0).sum()
        return total / inputs.window_counts["blank/examples"]


def _log_shares(scores: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return log-probabilities over the options, and which options there are."""
    if scores is None:
        raise ValueError("the student has scored no options")
    real = scores != ABSENT
    return log_shares(scores.float(), real), real
