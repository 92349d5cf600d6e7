"""The domain `arithmetic`: word problems that need no download and a minute to learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from kdsearch.plugin import API, Answer, Example, Options, Prompt, Scores, Use, hookimpl
from kdsearch_arithmetic.problems import WORDINGS, problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdsearch.plugin import Domain, Prediction

KDSEARCH_API = API

__version__ = "0.1.0"


class ArithmeticOptions(Options):
    """Which problems are told."""

    seed: int = Field(default=0, ge=0)
    """Chooses the names and things of each problem; its triple stays the same."""
    wordings: int = Field(default=8, ge=1, le=min(map(len, WORDINGS.values())))
    """How many wordings of each operation are used."""


class Arithmetic:
    """Word problems over + - x /, answered by a number."""

    name = "arithmetic"
    version = "1"
    Options = ArithmeticOptions
    answer = Answer.NUMBER
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    """The number and the end of sequence."""
    stop = ()
    generated = True
    """The wordings repeat; what differs between problems are operands."""

    def load(self, options: ArithmeticOptions) -> Iterator[Example]:
        """Yield each (operation, operands, wording) triple once; the group is the operation."""
        for problem in problems(options.wordings, options.seed):
            yield Example(
                id=problem.id,
                question=problem.text,
                answer=str(problem.answer),
                group=problem.operation,
            )

    def format(self, example: Example, options: Any) -> Prompt:
        """Tell the problem as it is."""
        return Prompt(target=str(example.answer), text=example.question)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right numbers."""
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(given.text == gold.answer) for given, gold in pairs]})

    def tokenizer(self, options: Any) -> Path:
        """Return the folder of the word-level tokenizer."""
        return Path(__file__).parent / "tokenizer"


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [Arithmetic()]
