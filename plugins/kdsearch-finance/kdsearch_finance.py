"""Sentiment of financial tweets in three classes, as the domain `financial_news`.

The data are zeroshot/twitter-financial-news-sentiment: local CSV files in their official form, or
the hub where no path is given.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kdsearch.errors import DataError
from kdsearch.plugin import (
    API,
    Answer,
    Domain,
    Example,
    Options,
    Prediction,
    Prompt,
    Scores,
    Use,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
logger = logging.getLogger(__name__)


class NewsOptions(Options):
    """Where the tweets are and how they are asked."""

    path: Path | None = None
    """A CSV file of `text` and `label`, or a folder of the official files; the hub unless given."""
    answer_format: Literal["word", "letter", "integer"] = "letter"
    """The answer is bearish, bullish, neutral or A, B, C or 1, 2, 3."""
    on_bad_row: Literal["error", "skip"] = "error"
    """Refuse the data at the first malformed row, or leave such rows out."""


class Row(NamedTuple):
    """One row of the data as it stands, with its place for errors."""

    where: str
    split: str
    values: Mapping[str, Any]

    def example(self) -> Example:
        """Check and convert the row; runs of whitespace become one space.

        Raises:
            DataError: If a value is missing, the text is empty or the label is none.
        """
        text, label = self.values.get("text"), self.values.get("label")
        if text is None or label is None:
            raise DataError("the row has too few or too many fields", where=self.where)
        text = " ".join(str(text).split())
        if not text:
            raise DataError("the text is empty", where=self.where)
        labels = [str(place) for place in range(len(SENTIMENTS))]
        if str(label).strip() not in labels:
            known = ", ".join(map(" ".join, zip(labels, SENTIMENTS, strict=True)))
            raise DataError(f"unknown label {str(label)!r}: allowed: {known}", where=self.where)
        return Example(
            id=sha256(_plain(text).encode()).hexdigest()[:16],
            question=text,
            answer=labels.index(str(label).strip()),
            choices=SENTIMENTS,
            split=self.split,
        )


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
        rows = _hub_rows() if options.path is None else _rows(options.path)
        seen: set[str] = set()
        skipped: list[DataError] = []
        for row in rows:
            try:
                example = row.example()
            except DataError as error:
                if options.on_bad_row == "error":
                    raise
                skipped.append(error)
                continue
            if example.id not in seen:
                seen.add(example.id)
                yield example
        if skipped:
            logger.warning("bad rows skipped: %d, the first at %s", len(skipped), skipped[0])
        if not seen:
            raise DataError("there is no row to use", where=str(options.path or HUB))

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
        pairs = [
            (given.choice, gold.answer) for given, gold in zip(predictions, examples, strict=True)
        ]
        right = [float(given == gold) for given, gold in pairs]
        return Scores({"accuracy": right}, {"macro_f1": _macro_f1(pairs)})


def _rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, or of the official files of a folder."""
    if not path.is_dir():
        named = (split for split, names in FILES.items() if path.name in names)
        yield from _csv_rows(path, next(named, "train"))
        return
    for split, names in FILES.items():
        files = [path / name for name in names]
        found = next((file for file in files if file.exists()), files[0])
        if found.exists() or split == "train":
            yield from _csv_rows(found, split)


def _csv_rows(path: Path, split: str) -> Iterator[Row]:
    """Yield the rows of a CSV file by the line on which each begins.

    Quoted texts hold newlines. Quotes are read strictly: otherwise one that is never closed would
    swallow the rest of the file as one text.
    """
    reader = csv.reader(io.StringIO(_content(path), newline=""), strict=True)
    line = 1
    try:
        columns = next(reader, [])
        for column in ("text", "label"):
            if column not in columns:
                listing = ", ".join(columns)[:80] or "nothing"
                message = f"no column '{column}': the first line has {listing}"
                raise DataError(message, where=f"{path}:1")
        line = reader.line_num + 1
        for fields in reader:
            whole = len(fields) == len(columns)
            if fields:
                values = dict(zip(columns, fields, strict=True)) if whole else {}
                yield Row(f"{path}:{line}", split, values)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"no valid CSV from here on: {error}", where=f"{path}:{line}") from error


def _content(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            fix="set domain.options.path to a CSV file with the columns text and label, or to the "
            "folder that holds train.csv",
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise DataError(message, where=f"{path}:{line}", fix="save the file as UTF-8") from error


def _hub_rows() -> Iterator[Row]:
    """Yield the rows of the official data, downloaded once and kept by the datasets library."""
    try:
        from datasets import load_dataset

        splits = load_dataset(HUB)
    except Exception as error:  # offline, refused, moved: the library raises a dozen classes
        raise DataError(
            f"cannot be loaded from the hub: {' '.join(str(error).split())}",
            where=HUB,
            fix="set domain.options.path to the folder of its CSV files",
        ) from error
    for split in FILES:
        for number, values in enumerate(splits.get(split, ()), start=1):
            yield Row(f"{HUB}/{split}:{number}", split, values)


def _macro_f1(pairs: Sequence[tuple[int | None, str | int]]) -> float:
    """Return the mean F1 of the classes that were given or right at least once."""
    scores = []
    for label in range(len(SENTIMENTS)):
        given = sum(answer == label for answer, _ in pairs)
        gold = sum(answer == label for _, answer in pairs)
        both = sum(answer == gold == label for answer, gold in pairs)
        if given + gold:
            scores.append(2 * both / (given + gold))
    return sum(scores) / len(scores) if scores else 0.0


def _plain(text: str) -> str:
    """Return a text without links, case or variants of characters: reposts differ in these."""
    bare = re.sub(r"https?://\S+", " ", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(bare.split()) or text


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [FinancialNews()]
