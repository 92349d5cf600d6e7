"""What holds while a student trains, and no longer: dropout, recomputed activations, a process."""

from __future__ import annotations

import os
import socket
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


@contextmanager
def group_of_one() -> Iterator[None]:
    """Let this process be a group of its own, as DeepSpeed expects of who launches it.

    What a launcher has set stands.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ours = {name: value for name, value in group.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


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
