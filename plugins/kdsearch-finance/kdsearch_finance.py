"""Sentiment of financial tweets in three classes, as the domain `financial_news`.

The data are zeroshot/twitter-financial-news-sentiment: local CSV files in their official form, or
the hub where no path is given.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from kdsearch.plugin import API, Domain, Example, LabelDomain, LabelOptions, hookimpl
from kdsearch.plugin.files import csv_rows, split_files
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import plain, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdsearch.plugin import Row

KDSEARCH_API = API
SENTIMENTS = ("bearish", "bullish", "neutral")
"""By the label of the official files: 0, 1, 2."""
FILES = {
    "validation": ("validation.csv", "sent_valid.csv"),
    "train": ("train.csv", "sent_train.csv"),
}
"""By official split: what its file may be called. Of a text in both, validation's copy is kept, so
that nothing is trained on that validation asks."""


class FinancialNews(LabelDomain):
    """Tweets on financial news: bearish, bullish or neutral."""

    name = "financial_news"
    version = "1"
    hub = "zeroshot/twitter-financial-news-sentiment"
    cue = "Sentiment:"

    def rows(self, options: LabelOptions) -> Iterator[Row]:
        """Yield the tweets, those of validation first."""
        if options.path is None:
            yield from hub_rows(self.hub, {split: split for split in FILES})
            return
        for split, file in split_files(options.path, FILES):
            yield from csv_rows(file, split, required=("text", "label"))

    def example(self, row: Row, options: LabelOptions) -> Example:
        """Convert a tweet; reposts, which differ in their links, are the same."""
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
