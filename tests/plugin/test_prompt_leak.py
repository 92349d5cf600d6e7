from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import PluginError
from kdsearch.plugin import Example, Prompt
from kdsearch.plugin.prompt_leak import check_prompts_blind

if TYPE_CHECKING:
    from collections.abc import Callable

CHOSEN = [Example(str(at), f"q{at}", at % 3, choices=("x", "y", "z")) for at in range(20)]
WRITTEN = [Example(str(at), f"{at} + 1 =", str(at + 1)) for at in range(20)]


class Put:
    name = "mine"

    def __init__(self, text: Callable[[Example], str]) -> None:
        self.text = text

    def format(self, example: Example, options: Any) -> Prompt:
        return Prompt(text=self.text(example), target=example.correct, choices=example.choices)


@pytest.mark.parametrize("examples", [CHOSEN, WRITTEN])
def test_prompts_of_question_and_options_pass(examples: list[Example]) -> None:
    domain: Any = Put(lambda example: f"{example.question} {example.choices}")
    check_prompts_blind(domain, None, examples)


@pytest.mark.parametrize("examples", [CHOSEN, WRITTEN])
@pytest.mark.parametrize(
    "text",
    [
        lambda example: f"{example.question} {example.correct}",
        lambda example: f"{example.question} (hint: {len(example.correct) * 'i'}{example.answer})",
    ],
)
def test_a_prompt_that_holds_the_answer_is_refused(
    examples: list[Example], text: Callable[[Example], str]
) -> None:
    domain: Any = Put(text)
    with pytest.raises(PluginError, match=r"domain 'mine': format\(\) gives the right answer away"):
        check_prompts_blind(domain, None, examples)


def test_options_that_hang_on_the_answer_are_refused() -> None:
    class Sorted(Put):
        def format(self, example: Example, options: Any) -> Prompt:
            first = (example.correct, *(c for c in example.choices if c != example.correct))
            return Prompt(text="?", target=example.correct, choices=first)

    domain: Any = Sorted(str)
    with pytest.raises(PluginError, match="gives the right answer away"):
        check_prompts_blind(domain, None, CHOSEN)


def test_where_all_answers_are_alike_nothing_is_said() -> None:
    domain: Any = Put(lambda example: f"{example.question} {example.answer}")
    check_prompts_blind(domain, None, [Example("1", "?", "a"), Example("2", "?", "a")])
