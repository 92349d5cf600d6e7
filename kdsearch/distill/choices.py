"""The options of an example while a student trains: its scores of them.

Where every option of a batch is one token, its score is read off the pass that trains the answer:
what is predicted first does not see the option. Longer options take a forward pass each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdsearch.distill.passes import IGNORED, collate, forward, pad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ABSENT = float("-inf")
"""The score of an option that an example does not have."""

NOBODY = -1
"""Stands where an example has no such option."""


def pad_scores(scores: Sequence[Sequence[float]]) -> Tensor:
    """Stack scores to (batch, options), `ABSENT` where an example has fewer."""
    most = max(map(len, scores))
    return torch.tensor([[*row, *[ABSENT] * (most - len(row))] for row in scores])


def collate_options(
    sources: Sequence[Sequence[int]],
    choices: Sequence[Sequence[Sequence[int]]],
    padding: int,
    *,
    causal: bool,
) -> dict[str, Tensor]:
    """Return what `option_scores` reads.

    Args:
        sources: Token ids of the prompts.
        choices: By example and option: the token ids to score.
        padding: The id that fills prompts.
        causal: Whether source and option make one sequence.

    Returns:
        `first` (batch, options), the only token of each option; else `slots` (batch, options),
        where each option stands in a batch of `passes.collate` over all of them.
    """
    if all(len(ids) == 1 for options in choices for ids in options):
        return {"first": pad([[ids[0] for ids in options] for options in choices], NOBODY)}
    pairs = [
        (source, ids) for source, options in zip(sources, choices, strict=True) for ids in options
    ]
    places = iter(range(len(pairs)))
    slots = pad([[next(places) for _ in options] for options in choices], NOBODY)
    batch = collate(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], padding, causal=causal
    )
    return {"slots": slots, **batch}


def option_scores(model: Any, logits: Tensor, options: Mapping[str, Tensor]) -> Tensor:
    """Return the log-likelihood of each option, (batch, options).

    Args:
        model: The student.
        logits: Of the answers that it trains on, (batch, target, vocabulary).
        options: As `collate_options` makes them.
    """
    if "first" in options:
        places = options["first"]
        values = logits[:, 0].float().log_softmax(-1).gather(-1, places.clamp(min=0))
        return values.masked_fill(places == NOBODY, ABSENT)
    batch = {name: values for name, values in options.items() if name != "slots"}
    logs, labels = forward(model, batch).logits.float().log_softmax(-1), batch["labels"]
    said = logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    sums = said.masked_fill(labels == IGNORED, 0.0).sum(-1)
    return sums[options["slots"].clamp(min=0)].masked_fill(options["slots"] == NOBODY, ABSENT)


def log_shares(scores: Tensor, real: Tensor) -> Tensor:
    """Normalise over the options that there are; the lowest number keeps gradients finite."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~real, lowest).log_softmax(-1)
