"""Which signals of a teacher all trials of a stage may read."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kdsearch.errors import SpecError
from kdsearch.plugin.signals import SignalRequest, request_of
from kdsearch.spec.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Loss
    from kdsearch.spec.models import Stage


def stage_request(
    stage: Stage, losses: Mapping[str, Loss], teacher: ModelFacts, depths: Iterable[int]
) -> SignalRequest:
    """Return all that the losses of a stage ask of a teacher, in any configuration at any size.

    Searched options count with every value, drawn or not, so that a search can be extended.

    Args:
        stage: The stage.
        losses: Its terms by name.
        teacher: The teacher's measures.
        depths: How many layers the stacks of the students have.

    Raises:
        SpecError: If a loss asks for layers that a student or the teacher does not have.
    """
    request, sizes = SignalRequest(), sorted(set(depths))
    for name, term in stage.losses.items():
        for options in _combinations(term.rest):
            try:
                config = losses[name].Config(**options)
            except ValidationError:  # values that do not go together: no configuration has them
                continue
            for layers in sizes:
                try:
                    request |= request_of(losses[name], config, teacher, layers)
                except SpecError as error:
                    where = f"losses.{name}.{error.where}"
                    raise SpecError(error.message, where=where, fix=error.fix) from error
    return request


def _combinations(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield options with each searched value at each of its edges."""
    edges = [value.edges if isinstance(value, Space) else (value,) for value in options.values()]
    for values in product(*edges):
        yield dict(zip(options, values, strict=True))
