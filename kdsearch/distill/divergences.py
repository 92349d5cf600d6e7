"""How far a student's distribution is from its teacher's, in the forms that the field uses.

All take log-probabilities over one support, (tokens, entries), and return the sum over tokens; all
are zero when the two agree.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor


def forward_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(teacher || student): the student covers all that the teacher says."""
    return functional.kl_div(student, teacher, log_target=True, reduction="sum")


def reverse_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(student || teacher): the student keeps to what the teacher is sure of."""
    return functional.kl_div(teacher, student, log_target=True, reduction="sum")


def jensen_shannon(teacher: Tensor, student: Tensor, beta: float) -> Tensor:
    """Return the generalised Jensen-Shannon divergence (Agarwal et al. 2024, section 3).

    beta KL(teacher || m) + (1 - beta) KL(student || m) with m = beta teacher + (1 - beta) student.
    """
    mixture = _mixture(teacher, student, beta)
    return beta * forward_kl(teacher, mixture) + (1.0 - beta) * forward_kl(student, mixture)


def skew_kl(teacher: Tensor, student: Tensor, skew: float) -> Tensor:
    """Return KL(teacher || skew teacher + (1 - skew) student) (Ko et al. 2024, section 3.1)."""
    return forward_kl(teacher, _mixture(teacher, student, skew))


def _mixture(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the log of `share` times the first distribution plus the rest of the second."""
    return torch.logaddexp(first + math.log(share), second + math.log1p(-share))
