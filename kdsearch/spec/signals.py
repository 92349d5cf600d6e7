"""Which signals of its teachers all trials of a stage may read, and how large they are."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Signal
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.signals import SignalRequest, request_of, temperature_of
from kdsearch.spec.cache import StateType
from kdsearch.spec.space import Space
from kdsearch.spec.teachers import Combine, loss_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Loss
    from kdsearch.spec.cache import Cache
    from kdsearch.spec.models import Stage
    from kdsearch.spec.objective import LossTerm

SMALL_VOCABULARY = 2**16
"""Up to it, a kept logit's entry takes 2 bytes instead of 4."""

TOGETHER = "+"
"""Stands for all teachers that are combined, where a teacher's name would."""


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


def stage_requests(
    stage: Stage,
    losses: Mapping[str, Loss],
    teachers: Mapping[int, ModelFacts],
    depths: Iterable[int],
    cache: Cache,
) -> dict[str, SignalRequest]:
    """Return all that the losses of a stage ask, in any configuration at any size.

    Searched options count with every value, drawn or not, so that a search can be extended.

    Args:
        stage: The stage.
        losses: Its terms by key.
        teachers: The measures of those that teach, by place.
        depths: How many layers the stacks of the students have.
        cache: In which form.

    Returns:
        By teacher what it is asked, and under `TOGETHER` the logits of several that are combined,
        where only some are kept. Who is asked nothing is left out.

    Raises:
        SpecError: If a loss asks for layers that a student or the teacher does not have, or is to
            read several teachers at more than one temperature.
    """
    asker = _Asker(stage, losses, sorted(set(depths)))
    joint = {key for key in stage.terms if combined(stage, key)}
    members = {place: teachers[place] for place in stage.teaching}
    if not members:
        return {}
    least = min(members.values(), key=lambda facts: facts.entries)
    partial = cache.top_k is not None and cache.top_k < least.entries
    found = {}
    for place, facts in members.items():
        own = [
            key
            for key in stage.terms
            if place in stage.readers(key) and not (key in joint and partial)
        ]
        dtype = stage.teachers[place].dtype.value
        found[stage.names[place]] = _in_form(asker.asked(own, facts, joint), facts, cache, dtype)
    if partial and joint:
        dtypes = "+".join(stage.teachers[place].dtype.value for place in members)
        found[TOGETHER] = _in_form(asker.asked(joint, least, joint), least, cache, dtypes)
    return {name: request for name, request in found.items() if request}


def combined(stage: Stage, key: str) -> bool:
    """Whether a term reads several teachers as one."""
    return len(stage.readers(key)) > 1 and stage.combine is not Combine.SEPARATE


def _in_form(
    request: SignalRequest, teacher: ModelFacts, cache: Cache, dtype: str
) -> SignalRequest:
    """Ask for signals in the form that a cache keeps."""
    whole = cache.top_k is None or cache.top_k >= teacher.entries
    return replace(
        request,
        top_k=None if whole else cache.top_k,
        temperatures=() if whole else request.temperatures,
        vocabulary=teacher.tokens if teacher.entries < teacher.vocabulary else None,
        half=cache.states is StateType.FLOAT16,
        dtype=dtype,
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


@contextmanager
def at_stage(place: int) -> Iterator[None]:
    """Put a stage before the place of its faults."""
    try:
        yield
    except SpecError as error:
        where = ".".join(filter(None, (f"stages.{place}", error.where)))
        raise SpecError(error.message, where=where, fix=error.fix) from error


class _Asker(NamedTuple):
    """Gathers what terms ask of teachers."""

    stage: Stage
    losses: Mapping[str, Loss]
    depths: Sequence[int]

    def asked(
        self, keys: Iterable[str], teacher: ModelFacts, joint: Collection[str]
    ) -> SignalRequest:
        """Return all that terms ask of one teacher; of a joint one, logits alone."""
        request = SignalRequest()
        for key in keys:
            for config in configs_of(self.losses[key], self.stage.terms[key]):
                for layers in self.depths:
                    with at_loss(key), PluginCall(f"loss '{key}'", "request"):
                        asked = request_of(self.losses[key], config, teacher, layers)
                        if key in joint:
                            _check_temperature(key, config, asked)
                            asked = replace(asked, layers=())
                    request |= asked
        return request


def _check_temperature(key: str, config: Any, asked: SignalRequest) -> None:
    """Refuse a term whose teachers cannot be given it as one."""
    if asked.top_logits and asked.temperatures not in ((), (temperature_of(config),)):
        raise SpecError(
            "it reads logits at several temperatures, and the mean of several teachers is taken "
            "at one",
            fix=f"name a teacher ({loss_of(key)}@NAME), or set combine: separate",
        )


def stored_bytes(
    request: SignalRequest,
    teacher: ModelFacts,
    rows: Iterable[tuple[int, int]],
    members: int = 1,
) -> int:
    """Return how many bytes the signals of rows take.

    Args:
        request: Which signals.
        teacher: Its measures.
        rows: How many tokens of each row the teacher reads and predicts.
        members: How many teachers are asked together.
    """
    vocabulary = request.vocabulary or teacher.vocabulary
    if request.tokens is not None:
        vocabulary = len(request.tokens)
    a_target = 0
    if request.top_logits and (request.top_k is None or request.top_k >= vocabulary):
        a_target = 4 * vocabulary
    elif request.top_logits and request.top_k is not None:
        entry = 2 if vocabulary <= SMALL_VOCABULARY else 4
        each = 2 * request.top_k + 4 * len(request.temperatures)
        a_target = request.top_k * entry + members * each
    a_target += 4 * min(request.largest or 0, vocabulary)
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
