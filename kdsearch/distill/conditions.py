"""What holds of a student while it trains, and no longer: dropout, recomputed activations."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from kdsearch.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdsearch.spec.training import Training

RATES = ("dropout", "dropout_rate", "attention_dropout")
"""Under these names T5 and Llama keep a rate in their configuration and in their attention."""


@contextmanager
def training_conditions(student: Any, training: Training) -> Iterator[None]:
    """Set a student's dropout and recomputation, and set both back afterwards.

    The configuration is restored too: what is made from the student later, an export or a student
    of its own, starts from its own rates.

    Raises:
        SpecError: If the model has no dropout that could be set.
    """
    before = _rates(student)
    if training.dropout is not None:
        if not before:
            raise SpecError(
                f"a {student.config.model_type} model has no dropout",
                where="train.dropout",
                fix="leave it out",
            )
        for place, name, _ in before:
            setattr(place, name, training.dropout)
    if training.gradient_checkpointing:
        student.activation_checkpointing_enable()
    try:
        yield
    finally:
        for place, name, rate in before:
            setattr(place, name, rate)
        if training.gradient_checkpointing:
            student.activation_checkpointing_disable()


def _rates(student: Any) -> list[tuple[Any, str, float]]:
    """Return every dropout rate of a model with the object and name that it is kept under."""
    places = [(student.config, name) for name in RATES]
    for module in student.modules():
        names = ("p",) if isinstance(module, nn.Dropout) else RATES
        places += [(module, name) for name in names]
    return [
        (place, name, rate)
        for place, name in places
        if isinstance(rate := getattr(place, name, None), int | float)
    ]
