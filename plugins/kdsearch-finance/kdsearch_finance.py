"""Finance: the sentiment of tweets, as `financial_news`, and sums over reports, as `finqa`.

Local files in their official forms, or the hub where no path is given.
"""

from __future__ import annotations

import re
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from kdsearch.plugin import (
    API,
    DataOptions,
    Domain,
    Example,
    LabelDomain,
    LabelOptions,
    NumberDomain,
    Prompt,
    Scores,
    hookimpl,
)
from kdsearch.plugin.answers import exact_match, last_number
from kdsearch.plugin.files import csv_rows, item_rows, split_files
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import plain, stable_id, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdsearch.plugin import Prediction, Row

KDSEARCH_API = API
SENTIMENTS = ("bearish", "bullish", "neutral")
"""By the label of the official files: 0, 1, 2."""
FILES = {
    "validation": ("validation.csv", "sent_valid.csv"),
    "train": ("train.csv", "sent_train.csv"),
}
"""By official split: what its file may be called. Of a text in both, validation's copy is kept, so
that nothing is trained on that validation asks."""

REPORT_FILES = {"test": ("test.json",), "dev": ("dev.json",), "train": ("train.json",)}
REPORT_SPLITS = {"test": "test", "dev": "validation", "train": "train"}
"""The hub's name of each official split of FinQA."""
ENDS = ("pre", "post")
"""Where the texts of a page stand about its table."""
TOLERANCE = Decimal("0.01")
"""Of the gold value; what a model that answers at once may miss by rounding."""


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

    def classes(self, options: LabelOptions) -> tuple[str, ...]:
        """Return the sentiments."""
        return SENTIMENTS


class FinQaOptions(DataOptions):
    """Where the questions are and what stands before them."""

    context: Literal["all", "gold"] = "all"
    """The whole page with its table, or only the facts that the answer needs, as annotated."""


class FinQa(NumberDomain):
    """Sums over text and table of a page of a financial report (Chen et al. 2021).

    The official measure runs a program and asks for equality; a model that answers at once is
    right within one hundredth of the gold value, percentages read as fractions.
    """

    name = "finqa"
    version = "1"
    Options = FinQaOptions
    hub = "ibm-research/finqa"

    def rows(self, options: FinQaOptions) -> Iterator[Row]:
        """Yield the questions, those of test and dev first."""
        if options.path is None:  # its own script is refused by datasets 4; this is its outcome
            yield from hub_rows(self.hub, REPORT_SPLITS, revision="refs/convert/parquet")
            return
        for split, file in split_files(options.path, REPORT_FILES):
            yield from item_rows(file, split)

    def example(self, row: Row, options: FinQaOptions) -> Example:
        """Convert a question; those on one page are one unit, the steps of a sum the group.

        The context follows the question, so that what is too long is cut at its end.
        """
        asked: Any = row.values.get("qa", row.values)
        if not isinstance(asked, dict):
            raise row.error("'qa' is no object with question, program and answer")
        row = row._replace(values={**row.values, **asked})
        name, question = row.text("id"), row.text("question")
        gold = row.text("exe_ans" if "exe_ans" in row.values else "final_result")
        if plain(gold) not in ("yes", "no") and last_number(gold) is None:
            raise row.error(f"the answer {gold!r} is no number, yes or no")
        steps = str(row.values.get("program_re") or row.values.get("program") or "").count("(")
        return Example(
            id=name,
            question=f"{question}\n{_context(row, options.context)}",
            answer=gold,
            group=f"{steps} steps" if steps < 4 else "4 steps or more",
            unit=name.rpartition("-")[0] or None,
            split=row.split,
        )

    def format(self, example: Example, options: FinQaOptions) -> Prompt:
        """Ask the question before its context, and for the answer alone after it."""
        return Prompt(target=str(example.answer), text=f"Question: {example.question}\n{self.cue}")

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the answers that are near enough, or the same word."""
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [_near(given.text, str(gold.answer)) for given, gold in pairs]})


def _context(row: Row, kind: str) -> str:
    """Return the page: text, a line a row of the table, text; or its annotated facts."""
    if kind == "gold":
        facts: Any = row.value("gold_inds")
        return "\n".join(map(tidy, map(str, facts.values() if isinstance(facts, dict) else facts)))
    table: Any = row.value("table")
    if not isinstance(table, list) or not all(isinstance(line, list) for line in table):
        raise row.error("the table is no list of rows")
    lines = [" | ".join(tidy(str(cell)) for cell in line) for line in table]
    texts = [[tidy(str(text)) for text in row.values.get(f"{place}_text") or ()] for place in ENDS]
    return "\n".join(filter(None, [" ".join(texts[0]), *lines, " ".join(texts[1])]))


def _near(said: str, gold: str) -> float:
    """Return 1 if an answer is the gold word, or its last number within the tolerance."""
    wanted, found = last_number(gold), last_number(said)
    if wanted is None:
        return exact_match(said, [gold])
    if found is None:
        return 0.0
    value = found / 100 if said.rstrip(" .").endswith("%") else found
    return float(abs(value - wanted) <= TOLERANCE * abs(wanted))


def _id(text: str) -> str:
    """Return an id that hangs on a text without its links: reposts differ in these.

    A text of links alone is known by them, in which case matters.
    """
    bare = re.sub(r"https?://\S+", " ", plain(text))
    return stable_id(bare) if bare.strip() else sha256(text.encode()).hexdigest()[:16]


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domains."""
    return [FinancialNews(), FinQa()]
