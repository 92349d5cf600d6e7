"""Bases of domains whose examples are rows of data, by the kind of answer that they ask for.

A domain states its name and version, where its rows come from and what example a row makes;
loading, prompting and judging are these. They are inherited, so that every domain asks in the
one form by which stages can follow each other; the contract itself asks for no base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.plugin.answers import number_scores, text_scores
from kdsearch.plugin.api import Answer, Example, Prompt, Scores, Use
from kdsearch.plugin.choices import (
    ChoiceOptions,
    LabelOptions,
    choice_prompt,
    choice_scores,
    macro_f1,
)
from kdsearch.plugin.reading import DataOptions, Examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plugin.api import Prediction


class DataDomain:
    """Loads examples from rows; the kinds of answer below complete it."""

    name: str
    version: str
    Options: type[DataOptions] = DataOptions
    use: Use = Use.SEARCH
    aggregates: tuple[str, ...] = ()
    stop: tuple[str, ...] = ("\n",)
    generated: bool = False
    """Whether templates make the questions, so that near-duplicates are intended."""
    hub: str | None = None
    """The dataset on the hub that is read where no path is given."""
    cue: str = "Answer:"
    """What a prompt ends with."""

    def rows(self, options: Any) -> Iterable[Any]:
        """Yield what `example` converts, held-out splits first.

        Raises:
            DataError: If a file is missing or broken, or the hub cannot be reached.
        """
        raise NotImplementedError

    def example(self, row: Any, options: Any) -> Example:
        """Convert a row.

        Raises:
            DataError: If it is malformed, naming its place.
        """
        raise NotImplementedError

    def key(self, example: Example) -> str:
        """Return by what two examples that ask the same are known."""
        return example.id

    def load(self, options: Any) -> Examples:
        """Return every example once, held-out splits first.

        Raises:
            DataError: While read, if the data are missing or malformed.
        """
        return Examples(
            self.rows(options),
            lambda row: self.example(row, options),
            on_bad_row=options.on_bad_row,
            source=options.path or self.hub or self.name,
            key=self.key,
        )


class ChoiceDomain(DataDomain):
    """Asks for one of the example's own options, by letter or integer."""

    Options: type[DataOptions] = ChoiceOptions
    answer: Answer = Answer.CHOICE
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens: int = 2

    def format(self, example: Example, options: Any) -> Prompt:
        """List the options by name."""
        return choice_prompt(example, options.answer_format, self.cue)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


class LabelDomain(ChoiceDomain):
    """Asks for one of the same few classes every time, by letter, integer or word."""

    Options: type[DataOptions] = LabelOptions
    answer: Answer = Answer.LABEL
    aggregates: tuple[str, ...] = ("macro_f1",)
    max_new_tokens: int = 8

    def classes(self, options: Any) -> tuple[str, ...]:
        """Return the classes, for questions that do not bring them; () if only the data know."""
        return ()

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right classes, and balance precision and recall of each."""
        classes = max((len(example.choices) for example in examples), default=0)
        balance = macro_f1(predictions, examples, classes)
        return Scores(choice_scores(predictions, examples).per_item, {"macro_f1": balance})


class TextDomain(DataDomain):
    """Asks for a few words, right if they are, once normalised, one of the gold ones."""

    answer: Answer = Answer.TEXT
    metrics: tuple[str, ...] = ("exact_match", "token_f1")
    max_new_tokens: int = 24

    def format(self, example: Example, options: Any) -> Prompt:
        """Ask for the answer alone."""
        return Prompt(target=str(example.answer), text=f"{example.question}\n{self.cue}")

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Compare with the gold answer and its aliases."""
        return text_scores(predictions, examples)


class NumberDomain(TextDomain):
    """Asks for a number, right if the last one of the answer has its value."""

    answer: Answer = Answer.NUMBER
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens: int = 16
    """Some tokenizers take one a digit."""

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Compare the last number of each answer, by value."""
        return number_scores(predictions, examples)
