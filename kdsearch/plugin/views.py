"""Other ways to put a question to a student, which a loss may ask for beside the usual one.

A loss says it by a property `views` of its `Config`. Each view of a question becomes a row of its
own, and all rows of a batch, the usual ones first, are read in one forward pass; `LossInputs.views`
holds what the student says of them. The teacher reads the usual rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from kdsearch.plugin.api import Answer, Example, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    Format = Callable[[Example], Prompt]

WITHOUT_ORDER = {
    Answer.LABEL: "its answers are classes, which no prompt lists in an order of its own",
    Answer.TEXT: "its questions have no options",
    Answer.NUMBER: "its questions have no options",
}
"""Why options are not permuted, by what a domain asks for."""


class View(Protocol):
    """One such way."""

    @property
    def name(self) -> str:
        """What `LossInputs.views` calls it; views of one name are the same."""

    @property
    def needs(self) -> str:
        """What a question has that can be put so, such as `a rationale`."""

    def fault(self, answer: Answer) -> str:
        """Return why questions with such answers cannot be put so; empty if they can."""

    def prompt(self, example: Example, format: Format) -> Prompt | None:
        """Return the prompt, or None for a question that has none.

        Args:
            example: The question.
            format: Words a question as the domain does.
        """


@dataclass(frozen=True)
class Permuted:
    """A question with each of its options in another place.

    The prompt's `choices` are in the usual order: the first is the one that chooses what is the
    first option otherwise.
    """

    name: str = "permuted"
    needs: str = "two options"

    def fault(self, answer: Answer) -> str:
        """Refuse questions without options in an order of their own."""
        return WITHOUT_ORDER.get(answer, "")

    def prompt(self, example: Example, format: Format) -> Prompt | None:
        """Turn the options around."""
        if len(example.choices) < 2:
            return None
        places = permutation(example.id, len(example.choices))
        turned = format(permuted(example))
        usual = [turned.choices[places.index(old)] for old in range(len(places))]
        return replace(turned, choices=tuple(usual))


@dataclass(frozen=True)
class Blank:
    """A question of which only the options are left."""

    name: str = "blank"
    needs: str = "options"

    def fault(self, answer: Answer) -> str:
        """Refuse questions that have nothing but themselves."""
        return "" if answer in (Answer.CHOICE, Answer.LABEL) else "its questions have no options"

    def prompt(self, example: Example, format: Format) -> Prompt | None:
        """Leave the question out."""
        return format(replace(example, question=""))


@dataclass(frozen=True)
class Task:
    """A question as one of several tasks, told apart by what stands before it."""

    name: str
    prefix: str
    explain: bool = False
    """Whether the rationale is what is asked for, instead of the answer."""

    @property
    def needs(self) -> str:
        """A rationale, if it is asked for."""
        return "a rationale" if self.explain else "an answer"

    def fault(self, answer: Answer) -> str:
        """Take every question."""
        return ""

    def prompt(self, example: Example, format: Format) -> Prompt | None:
        """Put the prefix before the prompt, or before its last message."""
        if self.explain and not example.rationale:
            return None
        usual = format(example)
        target = example.rationale or "" if self.explain else usual.target
        choices = () if self.explain else usual.choices
        if usual.messages is None:
            text = f"{self.prefix}{usual.text}"
            return replace(usual, text=text, target=target, choices=choices)
        *earlier, last = usual.messages
        asked = {**last, "content": f"{self.prefix}{last['content']}"}
        return replace(usual, messages=(*earlier, asked), target=target, choices=choices)


def permutation(identifier: str, options: int) -> list[int]:
    """Return the old place of each option, all of which move, the same for an item each time.

    The options are turned around by one to `options - 1` places, which a hash of the id chooses.
    """
    if options < 2:
        return list(range(options))
    turn = 1 + int.from_bytes(sha256(identifier.encode()).digest()[:4]) % (options - 1)
    return [(place + turn) % options for place in range(options)]


def permuted(example: Example) -> Example:
    """Return an example with every option in another place, and the answer where it went."""
    if not isinstance(example.answer, int):
        return example
    places = permutation(example.id, len(example.choices))
    choices = tuple(example.choices[place] for place in places)
    return replace(example, choices=choices, answer=places.index(example.answer))
