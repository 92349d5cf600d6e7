"""Checks that what a domain yields are examples, with distinct ids and possible answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.errors import DataError, PluginError
from kdsearch.plugin.api import Example
from kdsearch.plugin.faults import shown
from kdsearch.plugin.json_values import check_encodable

if TYPE_CHECKING:
    from collections.abc import Iterable


def checked(examples: Iterable[Example], domain: str) -> list[Example]:
    """Return the examples, ids distinct and answers among the options.

    Raises:
        DataError: If there is none, or one is malformed.
        PluginError: If what the domain yields are no examples.
    """
    seen: dict[str, str | None] = {}
    found = []
    for example in examples:
        if not isinstance(example, Example) or not isinstance(example.id, str):
            fault = f"load yielded {shown(example)}; an Example whose id is text was expected"
            raise PluginError(fault, where=f"domain '{domain}'")
        where = example.place(domain)
        if example.id in seen:
            first = f", at {seen[example.id]}" if seen[example.id] else ""
            raise DataError(f"another example has the same id{first}", where=where)
        seen[example.id] = example.origin
        _check_texts(example, where)
        _check_answer(example, where)
        found.append(example)
    if not found:
        raise DataError("it has no examples", where=f"domain '{domain}'")
    return found


def _check_texts(example: Example, where: str) -> None:
    """Refuse what no file or tokenizer can hold."""
    optional = (example.rationale, example.group, example.unit, example.split, example.answer)
    texts = (example.id, example.question, *example.choices, *example.aliases, *optional)
    try:
        check_encodable("".join(text for text in texts if isinstance(text, str)))
    except ValueError as error:
        raise DataError(str(error), where=where) from error


def _check_answer(example: Example, where: str) -> None:
    answer = example.answer
    if not example.choices:
        if not isinstance(answer, str):
            raise DataError(f"its answer {answer!r} is no text and it has no choices", where=where)
        return
    options = len(example.choices)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < options:
        raise DataError(
            f"its answer {answer!r} is none of its {options} options",
            where=where,
            fix=f"an answer is an index from 0 to {options - 1}",
        )
