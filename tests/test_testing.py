"""The contract of a domain: what keeps it passes, what breaks it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.plugin import Answer, Example, Options, Prompt, Scores, Use
from kdsearch.testing import DomainContract

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kdsearch.plugin import Prediction


class Kept:
    """Numbers, small or large."""

    name = "kept"
    version = "1"
    Options = Options
    answer = Answer.LABEL
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 1
    stop = ()

    def load(self, options: Any) -> Iterator[Example]:
        """Yield ten numbers."""
        for number in range(10):
            choices = ("small", "large")
            yield Example(str(number), f"Is {number} small?", int(number > 4), choices=choices)

    def format(self, example: Example, options: Any) -> Prompt:
        """Ask by letter."""
        text = f"{example.question}\nA. small\nB. large\nAnswer:"
        return Prompt(target="AB"[int(example.answer)], text=text, choices=("A", "B"))

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count."""
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(given.choice == gold.answer) for given, gold in pairs]})


class Kernel(DomainContract):
    """The contract over a domain that is set."""

    domain = Kept()

    def options(self, folder: Path) -> Options:
        return Options()


class TestKept(Kernel):
    """One that keeps it passes."""


class Renumbered(Kept):
    count = 0

    def load(self, options: Any) -> Iterator[Example]:
        type(self).count += 1
        for example in super().load(options):
            yield replace(example, id=f"{self.count}-{example.id}")


class Twice(Kept):
    def load(self, options: Any) -> Iterator[Example]:
        for example in super().load(options):
            yield replace(example, id="same")


class Blind(Kept):
    def format(self, example: Example, options: Any) -> Prompt:
        return replace(super().format(example, options), text="Small or large?\nAnswer:")


class Wrong(Kept):
    def format(self, example: Example, options: Any) -> Prompt:
        return replace(super().format(example, options), target="C")


class Generous(Kept):
    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        return Scores({"accuracy": [1.0] * len(examples)})


class Short(Kept):
    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        return Scores({"accuracy": [1.0]})


class Nameless(Kept):
    name = "my domain"


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Renumbered, "test_loading_again_gives_the_same"),
        (Twice, "test_the_engine_takes_its_examples"),
        (Blind, "test_a_shorter_question_changes_nothing_else"),
        (Wrong, "test_prompts_offer_the_target"),
        (Generous, "test_no_answer_scores_zero"),
        (Generous, "test_the_metric_tells_right_from_wrong"),
        (Short, "test_gold_answers_score_one"),
        (Nameless, "test_it_states_what_it_is"),
    ],
)
def test_one_that_breaks_it_fails(broken: type[Kept], test: str, tmp_path: Path) -> None:
    contract = Kernel()
    contract.domain = broken()
    with pytest.raises(Exception, match=r".") as caught:
        getattr(contract, test)(tmp_path)
    assert type(caught.value).__name__ in {"AssertionError", "DataError", "PluginError"}
