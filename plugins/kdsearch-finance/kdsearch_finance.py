"""Sentiment of financial tweets in three classes, as the domain `financial_news`.

The data are zeroshot/twitter-financial-news-sentiment: local CSV files in their official form, or
the hub where no path is given.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from kdsearch.plugin import (
    API,
    Answer,
    Domain,
    Example,
    Prediction,
    Prompt,
    Scores,
    Use,
    hookimpl,
)
from kdsearch.plugin.choices import choice_scores, macro_f1
from kdsearch.plugin.reading import (
    DataOptions,
    Row,
    csv_rows,
    examples,
    hub_rows,
    plain,
    split_files,
    stable_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KDSEARCH_API = API
HUB = "zeroshot/twitter-financial-news-sentiment"
SENTIMENTS = ("bearish", "bullish", "neutral")
"""By the label of the official files: 0, 1, 2."""
FILES = {
    "validation": ("validation.csv", "sent_valid.csv"),
    "train": ("train.csv", "sent_train.csv"),
}
"""By official split: what its file may be called. Of a text in both, validation's copy is kept, so
that nothing is trained on that validation asks."""
NAMES = {"word": SENTIMENTS, "letter": ("A", "B", "C"), "integer": ("1", "2", "3")}


class NewsOptions(DataOptions):
    """Where the tweets are and how they are asked."""

    answer_format: Literal["word", "letter", "integer"] = "letter"
    """The answer is bearish, bullish, neutral or A, B, C or 1, 2, 3."""


class FinancialNews:
    """Tweets on financial news: bearish, bullish or neutral."""

    name = "financial_news"
    version = "1"
    Options = NewsOptions
    answer = Answer.LABEL
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ("macro_f1",)
    max_new_tokens = 8
    stop = ("\n",)

    def load(self, options: NewsOptions) -> Iterator[Example]:
        """Yield every tweet once, whatever link it ends with.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        rows = (
            _rows(options.path)
            if options.path
            else hub_rows(HUB, {split: split for split in FILES})
        )
        source = options.path or HUB
        return examples(rows, _example, on_bad_row=options.on_bad_row, source=source)

    def format(self, example: Example, options: NewsOptions) -> Prompt:
        """Show the tweet, then the three options by the strings that may be answered."""
        names = NAMES[options.answer_format]
        listed = [
            word if name == word else f"{name}. {word}"
            for name, word in zip(names, SENTIMENTS, strict=True)
        ]
        text = "\n".join([example.question, *listed, "Sentiment:"])
        return Prompt(target=names[int(example.answer)], text=text, choices=names)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right classes, and balance precision and recall of each."""
        counted = choice_scores(predictions, examples).per_item
        balance = macro_f1(predictions, examples, len(SENTIMENTS))
        return Scores(counted, {"macro_f1": balance})


def _rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, or of the official files of a folder."""
    for split, file in split_files(path, FILES):
        yield from csv_rows(file, split, required=("text", "label"))


def _example(row: Row) -> Example:
    """Check and convert a row.

    Raises:
        DataError: If a value is missing, the text is empty or the label is none.
    """
    text, label = row.text("text"), row.text("label")
    labels = [str(place) for place in range(len(SENTIMENTS))]
    if label not in labels:
        known = ", ".join(map(" ".join, zip(labels, SENTIMENTS, strict=True)))
        raise row.error(f"unknown label {label!r}: allowed: {known}")
    return Example(
        id=_id(text),
        question=text,
        answer=labels.index(label),
        choices=SENTIMENTS,
        split=row.split,
    )


def _id(text: str) -> str:
    """Return an id that hangs on a text without its links: reposts differ in these.

    A text of links alone is known by them, in which case matters.
    """
    bare = re.sub(r"https?://\S+", " ", plain(text))
    return stable_id(bare) if bare.strip() else sha256(text.encode()).hexdigest()[:16]


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [FinancialNews()]
