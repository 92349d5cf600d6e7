"""Questions with a free answer: `trivia_qa` and `nq_open`, from files or the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import DataError
from kdsearch.plugin import DataOptions, Example, TextDomain
from kdsearch.plugin.files import PATH_ADVICE, item_rows, json_rows, split_files, table_rows
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import question_word, stable_id, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kdsearch.plugin import Row

HELD_OUT = {"dev": "validation", "train": "train"}
"""The hub's name of each split by the official one; test sets have no public answers."""
NQ_FILES = {
    "dev": ("NQ-open.dev.jsonl", "dev.jsonl"),
    "train": ("NQ-open.train.jsonl", "train.jsonl"),
}
KINDS = (".json", ".jsonl", ".csv")


class TriviaQa(TextDomain):
    """Questions of trivia lovers with every alias of the answer (Joshi et al. 2017)."""

    name = "trivia_qa"
    version = "1"
    hub = "mandarjoshi/trivia_qa"

    def rows(self, options: DataOptions) -> Iterator[Row]:
        """Yield the questions, those of dev first."""
        if options.path is None:
            yield from hub_rows(self.hub, HELD_OUT, "rc.nocontext")
            return
        for split, file in _trivia_files(options.path):
            official = file.suffix == ".json"
            yield from item_rows(file, split, below="Data") if official else table_rows(file, split)

    def example(self, row: Row, options: DataOptions) -> Example:
        """Convert a question in the official form, the hub's, or with a list of answers."""
        official = "Question" in row.values
        question = row.text("Question" if official else "question")
        answers = _answers(row, "Answer" if official else "answer")
        return _asked(row, question, answers)


class NqOpen(TextDomain):
    """Questions that people asked a search engine (Lee et al. 2019, from Natural Questions)."""

    name = "nq_open"
    version = "1"
    hub = "google-research-datasets/nq_open"

    def rows(self, options: DataOptions) -> Iterator[Row]:
        """Yield the questions, those of dev first."""
        if options.path is None:
            yield from hub_rows(self.hub, HELD_OUT)
            return
        for split, file in split_files(options.path, NQ_FILES):
            yield from json_rows(file, split)

    def example(self, row: Row, options: DataOptions) -> Example:
        """Convert a question; all answers but the first are aliases."""
        return _asked(row, row.text("question"), row.texts("answer"))


def _trivia_files(path: Path) -> list[tuple[str, Path]]:
    """Return the files of a folder, or one file, with their splits, those of dev first.

    Raises:
        DataError: If the folder holds none.
    """
    files = [path]
    if path.is_dir():
        named = [file for file in sorted(path.iterdir()) if file.suffix in KINDS]
        files = [file for file in named if "without-answers" not in file.name]
        if not files:
            message = f"the folder holds no questions: {', '.join(KINDS)} are read"
            raise DataError(message, where=str(path), fix=PATH_ADVICE)
    splits = [("dev" if "dev" in file.stem else "train", file) for file in files]
    return sorted(splits)


def _answers(row: Row, column: str) -> tuple[str, ...]:
    """Return the answer and its aliases, a record in the official form and the hub's.

    Raises:
        DataError: If there is none.
    """
    found: Any = row.value(column)
    if not isinstance(found, dict):
        return row.texts(column)
    said = {key.lower(): value for key, value in found.items()}
    texts = (said.get("value"), *(said.get("aliases") or ()))
    answers = tuple(tidy(str(text)) for text in texts if text and tidy(str(text)))
    if not answers:
        raise row.error(f"the {column} is empty")
    return answers


def _asked(row: Row, question: str, answers: tuple[str, ...]) -> Example:
    """Return an example, grouped by the word that the question opens with."""
    first, *others = dict.fromkeys(answers)
    return Example(
        id=stable_id(question),
        question=question,
        answer=first,
        aliases=tuple(others),
        group=question_word(question),
        split=row.split,
    )
