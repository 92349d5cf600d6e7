"""Multiple-choice trivia in the OpenTriviaQA layout, as the domain `history_trivia`.

A question opens with `#Q` and may run over several lines; `^` repeats the right answer; the
options follow, one a line, by letter. A file is read as it is: nothing is downloaded.
"""

from __future__ import annotations

import codecs
import logging
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

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
    from collections.abc import Iterator, Sequence

KDSEARCH_API = API
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
logger = logging.getLogger(__name__)


class TriviaOptions(Options):
    """Where the questions are and how they are asked."""

    path: Path
    """A file in the OpenTriviaQA layout, or a folder that holds `history.txt`."""
    max_choices: int | None = Field(default=None, ge=2)
    """Ask with at most so many options: the right one and others picked by a hash."""
    answer_format: Literal["letter", "integer"] = "letter"
    """Options are called A, B, C or 1, 2, 3, and so is the answer."""
    on_bad_row: Literal["error", "skip"] = "error"
    """Refuse the file at its first malformed question, or leave such questions out."""


class Question(NamedTuple):
    """One question of a file, whitespace normalised."""

    text: str
    options: tuple[str, ...]
    answer: int

    @property
    def key(self) -> str:
        """The text without case or variants of characters: equal keys ask the same."""
        return _plain(self.text)

    @property
    def id(self) -> str:
        """A hash of text and options, whatever the options' order."""
        said = "\n".join([self.key, *sorted(map(_plain, self.options))])
        return sha256(said.encode()).hexdigest()[:16]

    def reduced(self, limit: int | None) -> Question:
        """Keep the answer and, in their order, the others of lowest hash.

        The first others would not do: of four options reduced to two, the answer would stand
        second three times in four, and could be told without reading.
        """
        if limit is None or len(self.options) <= limit:
            return self

        def rank(option: str) -> str:
            return sha256(f"{self.id}\n{_plain(option)}".encode()).hexdigest()

        gold = self.options[self.answer]
        others = sorted((option for option in self.options if option != gold), key=rank)
        kept = {gold, *others[: limit - 1]}
        options = tuple(option for option in self.options if option in kept)
        return Question(self.text, options, options.index(gold))


class HistoryTrivia:
    """Questions on history with two to four options (OpenTriviaQA)."""

    name = "history_trivia"
    version = "1"
    Options = TriviaOptions
    answer = Answer.CHOICE
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    stop = ("\n",)

    def load(self, options: TriviaOptions) -> Iterator[Example]:
        """Yield every question once; one asked again, if with other options, is left out.

        Raises:
            DataError: If the file cannot be read, is malformed, or has no question.
        """
        path = options.path / "history.txt" if options.path.is_dir() else options.path
        seen: set[str] = set()
        for question in _questions(path, skip=options.on_bad_row == "skip"):
            if question.key in seen:
                continue
            seen.add(question.key)
            asked = question.reduced(options.max_choices)
            yield Example(
                id=question.id,
                question=asked.text,
                answer=asked.answer,
                choices=asked.options,
                group=f"{len(asked.options)} options",
            )
        if not seen:
            raise DataError("it holds no question", where=str(path))

    def format(self, example: Example, options: TriviaOptions) -> Prompt:
        """Ask in the form of MMLU (Hendrycks et al. 2021): options by name, the name to answer."""
        numbers = options.answer_format == "integer"
        count = len(example.choices)
        names = tuple(str(1 + place) if numbers else LETTERS[place] for place in range(count))
        listed = [f"{name}. {choice}" for name, choice in zip(names, example.choices, strict=True)]
        text = "\n".join([example.question, *listed, "Answer:"])
        return Prompt(target=names[int(example.answer)], text=text, choices=names)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(given.choice == gold.answer) for given, gold in pairs]})


class _Line(NamedTuple):
    """A line that is not blank, with its place for errors."""

    where: str
    text: str


def _questions(path: Path, *, skip: bool) -> Iterator[Question]:
    """Yield the questions of a file, the malformed ones refused or skipped and counted."""
    skipped: list[DataError] = []
    for block in _blocks(path):
        try:
            yield _question(block)
        except DataError as error:
            if not skip:
                raise
            skipped.append(error)
    if skipped:
        logger.warning("bad rows skipped: %d, the first at %s", len(skipped), skipped[0])


def _blocks(path: Path) -> Iterator[list[_Line]]:
    """Group the lines of a file by the `#Q` that opens each question."""
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            fix="set domain.options.path to a file in the OpenTriviaQA layout",
        ) from error
    block: list[_Line] = []
    for number, raw in enumerate(content.splitlines(), start=1):
        text = " ".join(_decoded(raw).split())
        if text.startswith("#Q") and block:
            yield block
            block = []
        if text:
            block.append(_Line(f"{path}:{number}", text))
    if block:
        yield block


def _decoded(line: bytes) -> str:
    """Decode UTF-8, and as Windows-1252 the few bytes that are none.

    OpenTriviaQA mixes the two encodings within a file.
    """
    text = ""
    while True:
        try:
            return text + line.decode("utf8")
        except UnicodeDecodeError as error:
            text += line[: error.start].decode("utf8")
            text += line[error.start : error.end].decode("cp1252", errors="replace")
            line = line[error.end :]


def _question(block: Sequence[_Line]) -> Question:
    """Read one question from its lines."""
    head = block[0]
    if not head.text.startswith("#Q"):
        raise DataError(f"{_short(head.text)} comes before any '#Q' line", where=head.where)
    marked = next((place for place, line in enumerate(block) if line.text.startswith("^")), None)
    if marked is None:
        raise DataError("the question has no answer: no '^' line follows it", where=head.where)
    text = " ".join(line.text for line in block[:marked]).removeprefix("#Q").strip()
    if not text:
        raise DataError("the question is empty", where=head.where)
    options = _options(head, block[marked + 1 :])
    answer = block[marked].text.removeprefix("^").strip()
    if answer not in options:
        message = (
            f"the answer {_short(answer)} is none of the options: {', '.join(map(_short, options))}"
        )
        raise DataError(message, where=block[marked].where)
    return Question(text, options, options.index(answer))


def _options(head: _Line, lines: Sequence[_Line]) -> tuple[str, ...]:
    """Read the options, which count on from A."""
    options: list[str] = []
    for place, line in enumerate(lines):
        letter = LETTERS[place] if place < len(LETTERS) else "#Q"
        name, _, option = line.text.partition(" ")
        if name != letter or not option:
            message = f"{_short(line.text)} is no option: '{letter} TEXT' was expected"
            raise DataError(message, where=line.where)
        if option in options:
            raise DataError(f"the option {_short(option)} stands twice", where=line.where)
        options.append(option)
    if len(options) < 2:
        message = f"the question has {len(options)} options, and two are the least"
        raise DataError(message, where=head.where)
    return tuple(options)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [HistoryTrivia()]
