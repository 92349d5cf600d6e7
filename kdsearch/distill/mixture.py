"""What several teachers say as one: the weighted mean of their probabilities.

A mean of probabilities has no logits of its own that would serve every temperature. A term reads
its teachers at one temperature T, so it is given T log p, with p the mean at T: divided by T and
normalised, as losses do with logits, that is p again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdsearch.distill.top_logits import FLOOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def mixed(
    teachers: Sequence[Mapping[str, Any]], weights: Tensor, temperature: float
) -> dict[str, Any]:
    """Return the signals that a term reads of several teachers, as it would read one's.

    Args:
        teachers: The signals of each, as `signals.assembled` nests them.
        weights: (batch, teachers), each row summing to 1.
        temperature: At which the term reads them.
    """
    found: dict[str, Any] = {}
    logs = weights.float().log()
    if all("top_logits" in said for said in teachers):
        found["top_logits"] = mixed_logits(
            [said["top_logits"] for said in teachers], logs, temperature
        )
    if all("choice_scores" in said for said in teachers):
        scores = [said["choice_scores"] for said in teachers]
        found["choice_scores"] = mixed_scores(scores, logs, temperature)
    return found


def mixed_scores(scores: Sequence[Tensor], log_weights: Tensor, temperature: float) -> Tensor:
    """Return (batch, options): T times the log of the mean probability of each option.

    Args:
        scores: Of each teacher, (batch, options), -inf where there is no option.
        log_weights: (batch, teachers).
        temperature: T.
    """
    return temperature * _mean([each.float() / temperature for each in scores], log_weights)


def mixed_logits(
    teachers: Sequence[Mapping[str, Any]], log_weights: Tensor, temperature: float
) -> dict[str, Any]:
    """Return the fields of one `TopLogits` for several.

    Args:
        teachers: The fields of each: whole vocabularies, cut to the shortest; or the same entries
            of each with the mass of its others, whose mean is that of the mixture's.
        log_weights: (batch, teachers).
        temperature: T.
    """
    if "ids" not in teachers[0]:
        least = min(fields["logits"].shape[-1] for fields in teachers)
        logits = [fields["logits"][..., :least].float() / temperature for fields in teachers]
        return {"logits": temperature * _mean(logits, log_weights)}
    tails = [fields["log_tails"][str(temperature)] for fields in teachers]
    kept = [
        (fields["logits"].float() / temperature).log_softmax(-1)
        + torch.log1p(-tail.exp()).clamp(min=FLOOR)[..., None]
        for fields, tail in zip(teachers, tails, strict=True)
    ]
    return {
        "logits": temperature * _sum(kept, log_weights),
        "ids": teachers[0]["ids"],
        "log_tails": {str(temperature): _sum(tails, log_weights)},
    }


def _mean(logits: Sequence[Tensor], log_weights: Tensor) -> Tensor:
    """Return the log of the weighted mean of the distributions that logits make."""
    return _sum([each.log_softmax(-1) for each in logits], log_weights)


def _sum(logs: Sequence[Tensor], log_weights: Tensor) -> Tensor:
    """Return the log of the weighted sum of exponentials; weights lie along the first axis."""
    weighted = [
        each + log_weights[:, place].view(-1, *[1] * (each.dim() - 1))
        for place, each in enumerate(logs)
    ]
    return torch.logsumexp(torch.stack(weighted), 0)
