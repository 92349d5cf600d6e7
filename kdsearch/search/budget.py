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
        items: Examples of train, of which it may hold some out.
        tokens: Of all that are trained on, prompt and answer, without padding.
    """
    if training.max_steps is not None:
        return training.max_steps
    epochs = training.epochs
    if training.tokens is not None and tokens is not None:
        epochs = training.tokens / tokens
    if epochs is None or items is None:
        return None
    trained = max(1, items - held_out(training, items))
    return math.ceil(epochs * steps_per_epoch(training, trained) - 1e-9)


def held_out(training: Training, items: int) -> int:
    """Return how many examples of train are kept from training, to measure losses on."""
    asked = training.validation
    if asked is None:
        return 0
    return int(asked) if asked >= 1.0 else max(1, round(asked * items))


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
