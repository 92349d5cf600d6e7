"""Several domains as one: what a search is made of that must match on each of them.

Items keep their domain's label before their id, as in `winogrande:17`; each is prompted and judged
by its own domain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Answer, Example, Prompt, Scores, Use
from kdsearch.plugin.domain_calls import score_predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kdsearch.plugin.api import Domain, Prediction

WITH_OPTIONS = frozenset({Answer.CHOICE, Answer.LABEL})


class Member(NamedTuple):
    """One of the domains, with its validated options."""

    label: str
    domain: Domain
    options: Any


class UnionOptions(BaseModel):
    """A union has none: its members do."""


@dataclass(frozen=True)
class Union:
    """Several domains in the form of one.

    Args:
        members: At least two, each of a label of its own.

    Raises:
        SpecError: If the members have no metric in common, or only some have options to score.
    """

    members: tuple[Member, ...]
    use: Use = Use.SEARCH
    Options: type[BaseModel] = UnionOptions
    by_label: Mapping[str, Member] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_label", {member.label: member for member in self.members})
        if not self.metrics:
            listed = "; ".join(f"{m.label}: {', '.join(m.domain.metrics)}" for m in self.members)
            raise SpecError(f"the domains have no metric in common ({listed})")
        if len({self._asked(member) for member in self.members}) > 1:
            kinds = ", ".join(f"{m.label} asks for a {m.domain.answer}" for m in self.members)
            raise SpecError(
                f"the domains are not answered in one way: {kinds}",
                fix="search with domains whose options are scored, or with ones that are generated",
            )

    @staticmethod
    def _asked(member: Member) -> tuple[bool, str]:
        domain = member.domain
        return domain.answer in WITH_OPTIONS, getattr(domain, "scoring", "auto")

    @property
    def name(self) -> str:
        """The labels, as `winogrande+social_iqa`."""
        return "+".join(self.by_label)

    @property
    def version(self) -> str:
        """Those of the members."""
        return "+".join(member.domain.version for member in self.members)

    @property
    def answer(self) -> Answer:
        """What all ask for; options or text where they differ in kind."""
        kinds = {member.domain.answer for member in self.members}
        if len(kinds) == 1:
            return kinds.pop()
        return Answer.CHOICE if kinds <= WITH_OPTIONS else Answer.TEXT

    @property
    def scoring(self) -> str:
        """How all are answered."""
        return self._asked(self.members[0])[1]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that all have."""
        first, *others = (member.domain.metrics for member in self.members)
        return tuple(metric for metric in first if all(metric in each for each in others))

    @property
    def aggregates(self) -> tuple[str, ...]:
        """Each member's, after its label."""
        return tuple(f"{m.label}:{name}" for m in self.members for name in m.domain.aggregates)

    @property
    def max_new_tokens(self) -> int:
        """The largest of all."""
        return max(member.domain.max_new_tokens for member in self.members)

    @property
    def stop(self) -> tuple[str, ...]:
        """Those of all: an answer of one that ends another's is none of its own."""
        return tuple(dict.fromkeys(text for member in self.members for text in member.domain.stop))

    @property
    def tokenizer(self) -> Callable[[Any], Path | str] | None:
        """That of all, where they share one for models made from scratch."""
        own = [getattr(member.domain, "tokenizer", None) for member in self.members]
        pairs = zip(own, self.members, strict=True)
        paths = {None if each is None else str(each(member.options)) for each, member in pairs}
        path = paths.pop()
        return None if paths or path is None else lambda options: path

    def load(self, options: Any) -> Iterator[Example]:
        """Yield the examples of every member in turn."""
        for member in self.members:
            for example in member.domain.load(member.options):
                yield labelled(example, member.label)

    def format(self, example: Example, options: Any) -> Prompt:
        """Prompt an example as its own domain does."""
        member = self.by_label[label_of(example.id)]
        return member.domain.format(_plain(example, member.label), member.options)

    def places(self, examples: Sequence[Example]) -> dict[str, list[int]]:
        """Return where each member's examples stand, by its label."""
        places: dict[str, list[int]] = {}
        for place, example in enumerate(examples):
            places.setdefault(label_of(example.id), []).append(place)
        return places

    def own(
        self,
        label: str,
        places: Sequence[int],
        predictions: Sequence[Prediction],
        examples: Sequence[Example],
    ) -> tuple[list[Prediction], list[Example]]:
        """Return a member's predictions and examples as it knows them itself."""
        named = ((predictions[place], unlabelled(examples[place].id)) for place in places)
        plain = [_plain(examples[place], label) for place in places]
        return [replace(prediction, id=name) for prediction, name in named], plain

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Judge each prediction by its own domain."""
        items = {metric: [math.nan] * len(examples) for metric in self.metrics}
        aggregates: dict[str, float] = {}
        for label, own in self.places(examples).items():
            domain = self.by_label[label].domain
            scores = score_predictions(domain, *self.own(label, own, predictions, examples))
            aggregates |= {f"{label}:{name}": value for name, value in scores.aggregates.items()}
            for metric, values in items.items():
                for place, value in zip(own, scores.per_item[metric], strict=True):
                    values[place] = value
        return Scores(items, aggregates)


def labelled(example: Example, label: str) -> Example:
    """Return an example as one of several domains: its names are its domain's."""
    return replace(
        example,
        id=f"{label}:{example.id}",
        unit=None if example.unit is None else f"{label}:{example.unit}",
        group=label if example.group is None else f"{label}/{example.group}",
    )


def label_of(item: str) -> str:
    """Return the label of the domain that an item of a union belongs to."""
    return item.partition(":")[0]


def unlabelled(name: str) -> str:
    """Return an item's or a unit's name in its own domain."""
    return name.partition(":")[2]


def _plain(example: Example, label: str) -> Example:
    """Return an example as its own domain knows it."""
    group = example.group if example.group is None else example.group.removeprefix(f"{label}/")
    return replace(
        example,
        id=unlabelled(example.id),
        unit=None if example.unit is None else unlabelled(example.unit),
        group=None if example.group == label else group,
    )
