"""Finds questions that are asked twice: copies but for case, punctuation, whitespace and order.

A copy in two splits lets a student be judged on what it was trained on; two copies in one are no
two independent items. What is kept of them is decided by whoever assigns the splits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.plugin.texts import plain, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kdsearch.plugin.api import Example

MARKS = re.compile(r"[^\w\s+\-*/%^=<>$€£]|_|-(?!\d)(?<!\d-)")
"""Punctuation that adds nothing to what is asked; operators, and a minus beside a digit, do."""


class Copies(NamedTuple):
    """Examples without their copies, and how many there were."""

    kept: list[Example]
    deduplicated: int
    """Copies of an example with the same home."""
    leaked: int
    """Copies of an example with another home."""


def question_key(example: Example) -> str | None:
    """Return what two examples share that ask the same, or None where nothing can be compared.

    The order of the options and the answer do not matter: the same question answered otherwise is
    the same question.
    """
    question = _words(example.question)
    if not any(character.isalnum() for character in question):
        return None
    return "\n".join([question, *sorted(map(_words, example.choices))])


def without_copies(
    examples: Iterable[Example],
    rank: Callable[[Example], tuple[int, bytes, str]],
    home: Callable[[Example], str | None],
) -> Copies:
    """Keep of the examples that ask the same the one of lowest rank.

    Args:
        examples: In any order.
        rank: No two are equal.
        home: From where an example is drawn; None where no split asks for it.
    """
    kept: list[Example] = []
    homes: dict[str, str | None] = {}
    deduplicated = leaked = 0
    for example in sorted(examples, key=rank):
        key, own = question_key(example), home(example)
        if key is None or key not in homes:
            kept.append(example)
            if key is not None:
                homes[key] = own
        elif own is not None:
            deduplicated += homes[key] == own
            leaked += homes[key] != own
    return Copies(kept, deduplicated, leaked)


def _words(text: str) -> str:
    return tidy(MARKS.sub(" ", plain(text)))
