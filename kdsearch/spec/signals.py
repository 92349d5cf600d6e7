"""Which signals of a teacher all trials of a stage may read, and how large they are."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Signal
from kdsearch.plugin.signals import SignalRequest, request_of
from kdsearch.spec.cache import StateType
from kdsearch.spec.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Loss
    from kdsearch.spec.cache import Cache
    from kdsearch.spec.models import Stage
    from kdsearch.spec.objective import LossTerm

SMALL_VOCABULARY = 2**16
"""Up to it, a kept logit's entry takes 2 bytes instead of 4."""


def _attending(teacher: ModelFacts, stack: str, read: int, target: int) -> int:
    """Return how many tokens of a row attend to each other."""
    return target if teacher.encoder_decoder and stack == "decoder" else read


LAYER_NUMBERS: Mapping[Signal, Callable[[ModelFacts, str, int, int], int]] = {
    Signal.HIDDEN_STATES: lambda teacher, stack, read, target: (
        teacher.hidden * (read if stack == "encoder" else target)
    ),
    Signal.ATTENTION_RELATIONS: lambda teacher, stack, read, target: (
        sum(teacher.heads.widths) * _attending(teacher, stack, read, target)
    ),
    Signal.ATTENTION_SCORES: lambda teacher, stack, read, target: (
        teacher.heads.queries * _attending(teacher, stack, read, target) ** 2
    ),
}
"""How many numbers one layer's signal of each kind has in a row: of the teacher's measures, the
stack, and the row's tokens read and predicted. See `kdsearch.distill.signals` for their meaning."""


def stage_request(
    stage: Stage,
    losses: Mapping[str, Loss],
    teacher: ModelFacts,
    depths: Iterable[int],
    cache: Cache,
) -> SignalRequest:
    """Return all that the losses of a stage ask of a teacher, in any configuration at any size.

    Searched options count with every value, drawn or not, so that a search can be extended.

    Args:
        stage: The stage.
        losses: Its terms by name.
        teacher: The teacher's measures.
        depths: How many layers the stacks of the students have.
        cache: In which form.

    Raises:
        SpecError: If a loss asks for layers that a student or the teacher does not have.
    """
    request, sizes = SignalRequest(), sorted(set(depths))
    for name, term in stage.losses.items():
        for config in configs_of(losses[name], term):
            for layers in sizes:
                with at_loss(name):
                    request |= request_of(losses[name], config, teacher, layers)
    whole = cache.top_k is None or cache.top_k >= teacher.entries
    return replace(
        request,
        top_k=None if whole else cache.top_k,
        temperatures=() if whole else request.temperatures,
        vocabulary=teacher.tokens if teacher.entries < teacher.vocabulary else None,
        half=cache.states is StateType.FLOAT16,
    )


def configs_of(loss: Loss, term: LossTerm) -> Iterator[Any]:
    """Yield a loss's options with each searched value at each of its edges."""
    for options in _combinations(term.rest):
        try:
            yield loss.Config(**options)
        except ValidationError:  # values that do not go together: no configuration has them
            continue


@contextmanager
def at_loss(name: str, whose: str = "") -> Iterator[None]:
    """Put a loss's name before the place of its faults, and what they are of before the message."""
    try:
        yield
    except SpecError as error:
        where = ".".join(filter(None, ("losses", name, error.where)))
        raise SpecError(f"{whose}{error.message}", where=where, fix=error.fix) from error


def stored_bytes(
    request: SignalRequest, teacher: ModelFacts, rows: Iterable[tuple[int, int]]
) -> int:
    """Return how many bytes the signals of rows take.

    Args:
        request: Which signals.
        teacher: Its measures.
        rows: How many tokens of each row the teacher reads and predicts.
    """
    vocabulary = request.vocabulary or teacher.vocabulary
    if request.tokens is not None:
        vocabulary = len(request.tokens)
    a_target = 0
    if request.top_logits and (request.top_k is None or request.top_k >= vocabulary):
        a_target = 4 * vocabulary
    elif request.top_logits and request.top_k is not None:
        entry = 2 if vocabulary <= SMALL_VOCABULARY else 4
        a_target = request.top_k * (2 + entry) + 4 * len(request.temperatures)
    width = 2 if request.half else 4
    return sum(
        a_target * target
        + sum(
            width * LAYER_NUMBERS[wanted.kind](teacher, wanted.stack, read, target)
            for wanted in request.layers
        )
        for read, target in rows
    )


def _combinations(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield options with each searched value at each of its edges."""
    edges = [value.edges if isinstance(value, Space) else (value,) for value in options.values()]
    for values in product(*edges):
        yield dict(zip(options, values, strict=True))
