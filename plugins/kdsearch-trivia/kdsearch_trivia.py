"""Multiple-choice trivia in the OpenTriviaQA layout, as the domain `history_trivia`.

A question opens with `#Q` and may run over several lines; `^` repeats the right answer; the
options follow, one a line, by letter. A file is read as it is: nothing is downloaded.
"""

from __future__ import annotations

import codecs
from pathlib import Path  # noqa: TC003 - pydantic reads it at run time
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.errors import DataError
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
from kdsearch.plugin.choices import (
    LETTERS,
    ChoiceOptions,
    choice_prompt,
    choice_scores,
    limited,
)
from kdsearch.plugin.reading import PATH_ADVICE, examples, plain, shortened, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KDSEARCH_API = API


class TriviaOptions(ChoiceOptions):
    """Where the questions are and how they are asked."""

    path: Path
    """A file in the OpenTriviaQA layout, or a folder that holds `history.txt`."""


class Question(NamedTuple):
    """One question of a file, whitespace normalised."""

    text: str
    options: tuple[str, ...]
    answer: int

    def example(self, max_choices: int | None) -> Example:
        """Return it with so many options at most; the id is that of all, in any order."""
        id_ = stable_id(self.text, *sorted(map(plain, self.options)))
        choices, answer = limited(self.options, self.answer, max_choices, id_)
        return Example(
            id=id_,
            question=self.text,
            answer=answer,
            choices=choices,
            group=f"{len(choices)} options",
        )


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
        return examples(
            _blocks(path),
            lambda block: _question(block).example(options.max_choices),
            on_bad_row=options.on_bad_row,
            source=path,
            key=lambda example: plain(example.question),
        )

    def format(self, example: Example, options: TriviaOptions) -> Prompt:
        """List the options by name."""
        return choice_prompt(example, options.answer_format)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


class _Line(NamedTuple):
    """A line that is not blank, with its place for errors."""

    where: str
    text: str


def _blocks(path: Path) -> Iterator[list[_Line]]:
    """Group the lines of a file by the `#Q` that opens each question."""
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise DataError(message, where=str(path), fix=PATH_ADVICE) from error
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
        raise DataError(f"{shortened(head.text)} comes before any '#Q' line", where=head.where)
    marked = next((place for place, line in enumerate(block) if line.text.startswith("^")), None)
    if marked is None:
        raise DataError("the question has no answer: no '^' line follows it", where=head.where)
    text = " ".join(line.text for line in block[:marked]).removeprefix("#Q").strip()
    if not text:
        raise DataError("the question is empty", where=head.where)
    options = _options(head, block[marked + 1 :])
    answer = block[marked].text.removeprefix("^").strip()
    if answer not in options:
        known = ", ".join(map(shortened, options))
        message = f"the answer {shortened(answer)} is none of the options: {known}"
        raise DataError(message, where=block[marked].where)
    return Question(text, options, options.index(answer))


def _options(head: _Line, lines: Sequence[_Line]) -> tuple[str, ...]:
    """Read the options, which count on from A."""
    options: list[str] = []
    for place, line in enumerate(lines):
        letter = LETTERS[place] if place < len(LETTERS) else "#Q"
        name, _, option = line.text.partition(" ")
        if name != letter or not option:
            message = f"{shortened(line.text)} is no option: '{letter} TEXT' was expected"
            raise DataError(message, where=line.where)
        if option in options:
            raise DataError(f"the option {shortened(option)} stands twice", where=line.where)
        options.append(option)
    if len(options) < 2:
        message = f"the question has {len(options)} options, and two are the least"
        raise DataError(message, where=head.where)
    return tuple(options)


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [HistoryTrivia()]
