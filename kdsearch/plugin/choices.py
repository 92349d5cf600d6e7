"""How a domain asks for one of several options, the same across domains.

Options are called A, B, C or 1, 2, 3, and so is the answer: then stages on different domains can
follow each other, and each option is one token.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from kdsearch.plugin.api import Example, Prompt, Scores
from kdsearch.plugin.reading import DataOptions
from kdsearch.plugin.texts import plain, stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Prediction
    from kdsearch.plugin.reading import Row

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ChoiceOptions(DataOptions):
    """Where the questions are and how their options are called."""

    max_choices: int | None = Field(default=None, ge=2)
    """Ask with at most so many options: the right one and others picked by a hash."""
    answer_format: Literal["letter", "integer"] = "letter"
    """Options are called A, B, C or 1, 2, 3, and so is the answer."""


class LabelOptions(DataOptions):
    """Where the texts are and how their classes are called."""

    answer_format: Literal["letter", "integer", "word"] = "letter"
    """Classes are called A, B, C or 1, 2, 3 or by themselves, and so is the answer."""


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
    """Ask in the form of MMLU (Hendrycks et al. 2021): options by name, the name to answer.

    With the format `word` options have no other name, and are answered by themselves.
    """
    names = listed = example.choices
    if answer_format != "word":
        names = option_names(len(example.choices), answer_format)
        pairs = zip(names, example.choices, strict=True)
        listed = tuple(f"{name}. {choice}" for name, choice in pairs)
    text = "\n".join([example.question, *listed, cue])
    return Prompt(target=names[int(example.answer)], text=text, choices=names)


def choice_example(
    question: str,
    choices: Sequence[str],
    answer: int,
    *,
    max_choices: int | None = None,
    known_by: Sequence[str] = (),
    **others: Any,
) -> Example:
    """Return an example whose id hangs on question and options, whatever their order.

    Args:
        question: What is asked.
        choices: All options.
        answer: The place of the right one.
        max_choices: Keep so many at most, by `limited`; the id stays that of all.
        known_by: The texts that stand for the question in the id; the question unless given.
        others: Further fields of the example.
    """
    name = stable_id(*(known_by or (question,)), *sorted(map(plain, choices)))
    kept, place = limited(choices, answer, max_choices, name)
    return Example(id=name, question=question, answer=place, choices=kept, **others)


def limited(
    choices: Sequence[str], answer: int, limit: int | None, salt: str
) -> tuple[tuple[str, ...], int]:
    """Keep the answer and the others of lowest hash, in the order of another hash.

    In their own order the answer's place would tell: of four options reduced to two, one that
    stood last always stands second. Hashed, each place is as frequent over many questions.

    Args:
        choices: All options.
        answer: The place of the right one.
        limit: How many to keep; None for all, in their order.
        salt: The question's own, so that no place is preferred over many questions.

    Returns:
        The options kept and the place of the right one among them.
    """
    if limit is None or len(choices) <= limit:
        return tuple(choices), answer

    def rank(purpose: str, place: int) -> str:
        return sha256(f"{purpose}\n{salt}\n{plain(choices[place])}".encode()).hexdigest()

    others = [place for place in range(len(choices)) if choices[place] != choices[answer]]
    others.sort(key=lambda place: rank("kept", place))
    kept = sorted([answer, *others[: limit - 1]], key=lambda place: rank("order", place))
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
