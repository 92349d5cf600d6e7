"""How long a training lasts: its budget in optimiser steps.

A plan counts by it before there is a model, a worker trains by it; so both say the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdsearch.spec.training import Training


def steps_of(training: Training, items: int | None, tokens: int | None = None) -> int | None:
    """Return the optimiser steps of a budget; None where what it counts is not known.

    The last window of an epoch is a step too, however few examples it has; what is begun of a step
    is a whole one.

    Args:
        training: Names the budget.
        items: Examples that are trained on.
        tokens: Of all these examples, prompt and answer, without padding.
    """
    if training.max_steps is not None:
        return training.max_steps
    epochs = training.epochs
    if training.tokens is not None and tokens is not None:
        epochs = training.tokens / tokens
    if epochs is None or items is None:
        return None
    return math.ceil(epochs * steps_per_epoch(training, items) - 1e-9)


def steps_per_epoch(training: Training, items: int) -> int:
    """Return the steps in which every example is trained on once."""
    batches = math.ceil(items / training.batch_size)
    return math.ceil(batches / training.gradient_accumulation)


def window(training: Training) -> int:
    """Return the examples of one optimiser step."""
    return training.batch_size * training.gradient_accumulation


def planned_tokens(training: Training, items: int, longest: int) -> float:
    """Return the most tokens that a training reads.

    Args:
        training: Names the budget.
        items: Examples that are trained on.
        longest: Tokens of the longest prompt with the longest answer.
    """
    steps = steps_of(training, items)
    if steps is not None:
        return float(steps * window(training) * longest)
    return float((training.tokens or 0) + window(training) * longest)
