"""Multiple-choice trivia in the OpenTriviaQA layout, as the domain `history_trivia`.

A question opens with `#Q` and may run over several lines; `^` repeats the right answer; the
options follow, one a line, by letter. A file is read as it is: nothing is downloaded.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.errors import DataError
from kdsearch.plugin import ChoiceDomain, ChoiceOptions
from kdsearch.plugin.choices import LETTERS, choice_example
from kdsearch.plugin.files import PATH_ADVICE
from kdsearch.plugin.texts import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdsearch.plugin import Example


class TriviaOptions(ChoiceOptions):
    """Where the questions are and how they are asked."""

    path: Path
    """A file in the OpenTriviaQA layout, or a folder that holds `history.txt`."""


class HistoryTrivia(ChoiceDomain):
    """Questions on history with two to four options (OpenTriviaQA)."""

    name = "history_trivia"
    version = "2"
    Options = TriviaOptions

    def rows(self, options: TriviaOptions) -> Iterator[list[_Line]]:
        """Yield the lines of each question."""
        return _blocks(options.path / "history.txt" if options.path.is_dir() else options.path)

    def example(self, row: Sequence[_Line], options: TriviaOptions) -> Example:
        """Convert a question; the number of its options makes the groups."""
        question, choices, answer = _question(row)
        count = min(len(choices), options.max_choices or len(choices))
        return choice_example(
            question,
            choices,
            answer,
            max_choices=options.max_choices,
            group=f"{count} options",
        )

    def key(self, example: Example) -> str:
        """Return the question: with other options it is the same."""
        return plain(example.question)


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


def _question(block: Sequence[_Line]) -> tuple[str, tuple[str, ...], int]:
    """Return a question, its options and the place of the right one."""
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
    return text, options, options.index(answer)


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
