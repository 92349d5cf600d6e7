"""Checks that a prompt does not hang on the right answer, before anything is trained.

A prompt that gives the answer away makes every student match. It is found without a model: the same
question with another right answer must be put in the same words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kdsearch.errors import PluginError
from kdsearch.plugin.api import Prediction
from kdsearch.plugin.domain_calls import format_example
from kdsearch.plugin.union import Union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Domain, Example

SAMPLE = 64
"""Examples that are looked at, evenly spaced."""


def check_prompts_blind(domain: Domain, options: Any, examples: Sequence[Example]) -> None:
    """Refuse a domain whose prompts change when only the right answer does.

    Args:
        domain: Which.
        options: The domain's.
        examples: Of which some are looked at; never those of confirm.

    Raises:
        PluginError: If a prompt gives the right answer away, by its words or by its options.
    """
    if isinstance(domain, Union):
        nothing = [Prediction(example.id, "") for example in examples]
        for label, places in domain.places(examples).items():
            member = domain.by_label[label]
            _, own = domain.own(label, places, nothing, examples)
            check_prompts_blind(member.domain, member.options, own)
        return
    step = max(1, -(-len(examples) // SAMPLE))
    for example in examples[::step]:
        other = _answered_otherwise(example, examples)
        if other is None:
            continue
        seen, changed = (format_example(domain, each, options) for each in (example, other))
        shown = [(prompt.text, prompt.messages, prompt.choices) for prompt in (seen, changed)]
        if shown[0] != shown[1]:
            item = f"the item at {example.origin}" if example.origin else f"item '{example.id}'"
            raise PluginError(
                f"format() gives the right answer away: the prompt of {item} is another "
                "one when its answer is",
                where=f"domain '{domain.name}'",
                fix="make text, messages and choices from the question and its options alone; only "
                "the target is the answer",
            )


def _answered_otherwise(example: Example, examples: Sequence[Example]) -> Example | None:
    """Return an example with another right answer; None where there is none to take."""
    if isinstance(example.answer, int):
        options = len(example.choices)
        return replace(example, answer=(example.answer + 1) % options) if options > 1 else None
    given = (each.answer for each in examples)
    answer = next((each for each in given if each != example.answer), None)
    return None if answer is None else replace(example, answer=answer, aliases=())
