"""What a stage before the last trains on.

Only the train split of its domain is read, and nothing of it that the last stage keeps for dev or
confirm: the same item, another of its unit, or a copy of its question; nor a near-duplicate, unless
the stage keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.duplicates import question_key
from kdsearch.errors import DataError
from kdsearch.plugin.union import label_of, unlabelled
from kdsearch.splits import load

if TYPE_CHECKING:
    from kdsearch.plugin.api import Example
    from kdsearch.spec.models import SearchSpec, Stage
    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned, Loaded


class Earlier(NamedTuple):
    """The training examples of an earlier stage."""

    train: tuple[Example, ...]
    left_out: int
    """Asked by dev or confirm of the last stage, or nearly so."""


def earlier_train(
    spec: SearchSpec, place: int, parts: Parts, last: Assigned, loaded: Loaded | None = None
) -> Earlier:
    """Return what an earlier stage trains on.

    Args:
        spec: The search.
        place: Of the stage.
        parts: The stage's plugins.
        last: The splits of the last stage.
        loaded: The examples of the stage's domain, if they are loaded already.

    Raises:
        DataError: If its data are missing, malformed, or nothing is left of them.
    """
    stage, decides = spec.stages[place], spec.stage
    examples = loaded or load(parts.domain, parts.options)
    train = examples.divide(stage.splits, spec.search.seed).splits.train
    kept = [example for split in (last.dev, last.confirm) for example in split]
    names = {each for example in kept for each in _names(example, decides)}
    asked = {question_key(example) for example in kept} - {None}
    apart = tuple(
        example
        for example in train
        if question_key(example) not in asked and not names & _names(example, stage)
    )
    near = examples.near(apart, kept, stage.splits)
    apart = tuple(example for example in apart if example.id not in near)
    if not apart:
        message = "dev and confirm of the last stage ask all of its training questions"
        raise DataError(message, where=f"stages.{place}, domain '{parts.domain.name}'")
    return Earlier(apart, len(train) - len(apart))


def _names(example: Example, stage: Stage) -> set[tuple[str, str, str]]:
    """Return what an item and others of its unit are known by, in its own domain."""
    domain, names = stage.domain.name, [("id", example.id)]
    names += [] if example.unit is None else [("unit", example.unit)]
    if stage.domains:
        domain = {choice.called: choice.name for choice in stage.domains}[label_of(example.id)]
        names = [(kind, unlabelled(name)) for kind, name in names]
    return {(domain, kind, name) for kind, name in names}
