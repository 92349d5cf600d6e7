"""A teacher's largest logits with the mass of the rest: what soft labels need, in few bytes.

Renormalising the kept entries instead would make students over-confident; a tail bucket keeps the
divergence a lower bound of the true one, and equal to it where the tail is uniform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdsearch.spec.signals import SMALL_VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Sequence

FLOOR = -30.0
"""Log of the least tail mass: below it a float32 probability no longer counts."""


def pack(
    logits: Tensor, k: int, temperatures: Sequence[float], ids: Tensor | None = None
) -> dict[str, Tensor]:
    """Keep the k largest logits of each token, or those of given entries.

    Args:
        logits: (tokens, vocabulary), any precision.
        k: Entries to keep, less than the vocabulary.
        temperatures: At which the tail's mass is kept.
        ids: (tokens, k), which entries instead.

    Returns:
        `top_values` (tokens, k) float16, logits minus the largest; `top_ids` (tokens, k), in 16
        bits, shifted to be signed, where the vocabulary is small;
        `top_tails` (tokens, temperatures) float32, log of the mass left out. Float16 logits
        themselves would overflow or round away what tells them apart.
    """
    shifted = logits.float() - logits.float().amax(-1, keepdim=True)
    ids = shifted.topk(k, dim=-1).indices if ids is None else ids
    values = shifted.gather(-1, ids)
    rest = shifted.scatter(-1, ids, -torch.inf)
    tails = [
        torch.logsumexp(rest / temperature, -1) - torch.logsumexp(shifted / temperature, -1)
        for temperature in temperatures
    ]
    small = logits.shape[-1] <= SMALL_VOCABULARY
    stored = (ids - SMALL_VOCABULARY // 2).to(torch.int16) if small else ids.to(torch.int32)
    return {
        "top_values": values.to(torch.float16),
        "top_ids": stored,
        "top_tails": torch.stack(tails, -1).clamp(min=FLOOR),
    }


def entries(stored: Tensor) -> Tensor:
    """Return stored entries as vocabulary ids, int64."""
    ids = stored.long()
    return ids + SMALL_VOCABULARY // 2 if stored.dtype == torch.int16 else ids


def log_probabilities(
    student: Tensor, values: Tensor, ids: Tensor, log_tail: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return what teacher and student give to the kept entries and to all others together.

    Args:
        student: (tokens, vocabulary) logits.
        values: (tokens, k), the teacher's kept logits up to a constant a token.
        ids: (tokens, k), their entries.
        log_tail: (tokens,), log of the teacher's mass left out, at this temperature.
        temperature: Of both distributions.

    Returns:
        Two (tokens, k + 1) tensors of log-probabilities, the tail last and not below `FLOOR`.
    """
    kept_mass = torch.log1p(-log_tail.exp()).clamp(min=FLOOR)
    teacher = (values.float() / temperature).log_softmax(-1) + kept_mass[:, None]
    logits = student.float() / temperature
    total = torch.logsumexp(logits, -1, keepdim=True)
    rest = torch.logsumexp(logits.scatter(-1, ids, -torch.inf), -1, keepdim=True) - total
    own = torch.cat([logits.gather(-1, ids) - total, rest.clamp(min=FLOOR)], -1)
    return torch.cat([teacher, log_tail[:, None]], -1), own
