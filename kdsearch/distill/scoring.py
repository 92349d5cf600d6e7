"""Options by their log-likelihood: what each scores, and which is taken.

Where every option is one token, all are read off one pass over the prompt: what is predicted first
does not see the option. Longer options go on from a prompt that is read once; see `sharing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdsearch.distill.passes import batches, collate, forward
from kdsearch.distill.phases import unheard
from kdsearch.distill.sharing import shared_scores
from kdsearch.plugin import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.distill.data import Rows
    from kdsearch.distill.phases import Progress

Scores = tuple[float, ...]
"""The log-likelihood of each option of a row, in nats."""


def choose(
    model: Any, rows: Rows, asked: Sequence[int], progress: Progress = unheard
) -> dict[int, Prediction]:
    """Answer rows by their best option.

    Args:
        model: In evaluation mode.
        rows: With the options of each.
        asked: Which rows.
        progress: Told after every batch.
    """
    found = {}
    for row, scores in option_scores(model, rows, asked, progress).items():
        example, names = rows.examples[row], rows.names[row]
        best = best_option(scores, [_length(rows, row, place) for place in range(len(scores))])
        text = example.choices[best] if best < len(example.choices) else names[best]
        found[row] = Prediction(example.id, text, best, scores)
    return found


def best_option(scores: Sequence[float], lengths: Sequence[int]) -> int:
    """Return the place of the highest score for its length; of equal ones the first."""
    return max(range(len(scores)), key=lambda place: scores[place] / lengths[place])


def option_scores(
    model: Any, rows: Rows, asked: Sequence[int], progress: Progress = unheard
) -> dict[int, Scores]:
    """Return the log-likelihoods of the options of rows, lengths left out of account."""
    short = [row for row in asked if all(len(ids) == 1 for ids in rows.choices[row])]
    long = sorted(set(asked) - set(short))
    first = _first_token_scores(model, rows, short, lambda done, _: progress(done, len(asked)))
    return first | _several_token_scores(
        model, rows, long, lambda done, _: progress(len(short) + done, len(asked))
    )


def _length(rows: Rows, row: int, place: int) -> int:
    """Return what a score is divided by."""
    match rows.evaluation.length_normalization:
        case "tokens":
            return len(rows.choices[row][place])
        case "bytes":
            return len(rows.names[row][place].encode())
        case _:
            return 1


def _first_token_scores(
    model: Any, rows: Rows, asked: Sequence[int], progress: Progress
) -> dict[int, Scores]:
    found: dict[int, Scores] = {}
    for taken in batches(asked, lambda row: len(rows.sources[row])):
        sources = [rows.sources[row] for row in taken]
        logits = _logits(model, sources, [rows.choices[row][0] for row in taken])
        logs = logits[:, 0].float().log_softmax(-1).cpu()
        for place, row in enumerate(taken):
            found[row] = tuple(logs[place, [ids[0] for ids in rows.choices[row]]].tolist())
        progress(len(found), len(asked))
    return found


def _several_token_scores(
    model: Any, rows: Rows, asked: Sequence[int], progress: Progress
) -> dict[int, Scores]:
    """Score options that are read after their prompt, which is read once for all of them."""

    def length(row: int) -> int:
        return sum(len(rows.sources[row]) + len(ids) for ids in rows.choices[row])

    found: dict[int, Scores] = {}
    for taken in batches(asked, length):
        sources = [rows.sources[row] for row in taken]
        totals = shared_scores(model, sources, [rows.choices[row] for row in taken])
        found |= zip(taken, map(tuple, totals), strict=True)
        progress(len(found), len(asked))
    return found


def _logits(
    model: Any, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Tensor:
    """Return (rows, target, vocabulary): the prediction of each target token."""
    causal = not model.config.is_encoder_decoder
    batch = collate(sources, targets, model.config.pad_token_id or 0, causal=causal)
    with torch.inference_mode():
        return forward(model, {name: ids.to(model.device) for name, ids in batch.items()}).logits
