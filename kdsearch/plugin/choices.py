"""How a domain asks for one of several options, the same across domains.

Options are called A, B, C or 1, 2, 3, and so is the answer: then stages on different domains can
follow each other, and each option is one token.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kdsearch.plugin.api import Prompt, Scores
from kdsearch.plugin.reading import DataOptions, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Example, Prediction
    from kdsearch.plugin.reading import Row

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ChoiceOptions(DataOptions):
    """Where the questions are and how their options are called."""

    max_choices: int | None = Field(default=None, ge=2)
    """Ask with at most so many options: the right one and others picked by a hash."""
    answer_format: Literal["letter", "integer"] = "letter"
    """Options are called A, B, C or 1, 2, 3, and so is the answer."""


def option_names(count: int, answer_format: str) -> tuple[str, ...]:
    """Return what so many options are called.

    Args:
        count: 26 at most for letters.
        answer_format: `letter` or `integer`.
    """
    if answer_format == "integer":
        return tuple(str(1 + place) for place in range(count))
    return tuple(LETTERS[:count])


def choice_prompt(example: Example, answer_format: str, cue: str = "Answer:") -> Prompt:
    """Ask in the form of MMLU (Hendrycks et al. 2021): options by name, the name to answer."""
    names = option_names(len(example.choices), answer_format)
    listed = [f"{name}. {choice}" for name, choice in zip(names, example.choices, strict=True)]
    text = "\n".join([example.question, *listed, cue])
    return Prompt(target=names[int(example.answer)], text=text, choices=names)


def limited(
    choices: Sequence[str], answer: int, limit: int | None, salt: str
) -> tuple[tuple[str, ...], int]:
    """Keep the answer and, in their order, the others of lowest hash.

    The first others would not do: of four options reduced to two, the answer would stand second
    three times in four, and could be told without reading.

    Args:
        choices: All options.
        answer: The place of the right one.
        limit: How many to keep; None keeps all.
        salt: The question's own, so that no place is preferred over many questions.

    Returns:
        The options kept and the place of the right one among them.
    """
    if limit is None or len(choices) <= limit:
        return tuple(choices), answer

    def rank(place: int) -> str:
        return sha256(f"{salt}\n{plain(choices[place])}".encode()).hexdigest()

    others = [place for place in range(len(choices)) if choices[place] != choices[answer]]
    kept = sorted([answer, *sorted(others, key=rank)[: limit - 1]])
    return tuple(choices[place] for place in kept), kept.index(answer)


def answer_place(row: Row, said: str, count: int) -> int:
    """Return the place that a letter names among so many options.

    Raises:
        DataError: If it names none.
    """
    place = LETTERS.find(said.strip()) if len(said.strip()) == 1 else -1
    if not 0 <= place < count:
        raise row.error(f"unknown answer {said!r}: allowed: {', '.join(LETTERS[:count])}")
    return place


def choice_scores(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
    """Score the right choices as `accuracy`."""
    pairs = zip(predictions, examples, strict=True)
    return Scores({"accuracy": [float(given.choice == gold.answer) for given, gold in pairs]})


def macro_f1(predictions: Sequence[Prediction], examples: Sequence[Example], classes: int) -> float:
    """Return the mean F1 of the classes that were given or right at least once."""
    pairs = [(given.choice, gold.answer) for given, gold in zip(predictions, examples, strict=True)]
    scores = []
    for label in range(classes):
        given = sum(answer == label for answer, _ in pairs)
        gold = sum(answer == label for _, answer in pairs)
        both = sum(answer == truth == label for answer, truth in pairs)
        if given + gold:
            scores.append(2 * both / (given + gold))
    return sum(scores) / len(scores) if scores else 0.0
