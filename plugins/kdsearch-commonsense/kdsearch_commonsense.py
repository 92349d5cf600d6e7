"""Commonsense reasoning by multiple choice: `winogrande`, `social_iqa` and `commonsense_qa`.

Local files in their official forms, or the hub where no path is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kdsearch.errors import DataError
from kdsearch.plugin import API, ChoiceDomain, ChoiceOptions, DataOptions, Domain, Prompt, hookimpl
from kdsearch.plugin.choices import answer_place, choice_example
from kdsearch.plugin.files import json_rows, line_rows, split_files
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.reading import Row
from kdsearch.plugin.texts import plain, question_word, stable_id, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kdsearch.plugin import Example

KDSEARCH_API = API
HELD_OUT = {"dev": "validation", "train": "train"}
"""The hub's name of each split by the official one; test sets have no answers."""
SITUATION_FILES = {"dev": ("dev.jsonl",), "train": ("train.jsonl",)}
CONCEPT_FILES = {
    "dev": ("dev_rand_split.jsonl", "dev.jsonl"),
    "train": ("train_rand_split.jsonl", "train.jsonl"),
}
SIZES = ("xl", "l", "m", "s", "xs")
QUESTION_TYPES = {
    "why ": "motivations",
    "need to do before": "needs",
    "want to do next": "wants",
    "feel": "reactions",
    "describe": "descriptions",
    "happen": "effects",
}
"""The six kinds of question (Sap et al. 2019, table 2), by words that tell them."""


class WinograndeOptions(DataOptions):
    """Where the sentences are and how they are asked."""

    size: Literal["xl", "l", "m", "s", "xs"] | None = None
    """Which training set of a folder or the hub; the largest that is there unless given."""
    answer_format: Literal["letter", "integer", "substituted"] = "letter"
    """Answer by A, B or 1, 2, or continue the sentence by option and remainder."""


class Winogrande(ChoiceDomain):
    """Which of two options fills the blank of a sentence (Sakaguchi et al. 2020)."""

    name = "winogrande"
    version = "1"
    Options = WinograndeOptions
    hub = "allenai/winogrande"

    def rows(self, options: WinograndeOptions) -> Iterator[Row]:
        """Yield the sentences of dev, then those of the training set."""
        sizes = (options.size,) if options.size else SIZES
        if options.path is None:
            return hub_rows(self.hub, HELD_OUT, f"winogrande_{sizes[0]}")
        files = {"dev": ("dev.jsonl",), "train": tuple(f"train_{size}.jsonl" for size in sizes)}
        return _json_rows(options.path, files)

    def example(self, row: Row, options: WinograndeOptions) -> Example:
        """Convert a sentence; the two of a pair, told by the stem of `qID`, are one unit.

        People's names and things make the groups.
        """
        sentence = row.text("sentence")
        choices = (row.text("option1"), row.text("option2"))
        if sentence.count("_") != 1:
            blanks = sentence.count("_")
            raise row.error(f"the sentence has {blanks} blanks, and one is asked for")
        if plain(choices[0]) == plain(choices[1]):
            raise row.error(f"both options are {choices[0]!r}")
        stem, _, _ = str(row.values.get("qID") or "").rpartition("-")
        return choice_example(
            sentence,
            choices,
            _counted(row, "answer", "12"),
            group="people" if all(choice[0].isupper() for choice in choices) else "things",
            unit=stem or None,
            split=row.split,
        )

    def format(self, example: Example, options: WinograndeOptions) -> Prompt:
        """Show the sentence and list both options, or stop at the blank.

        Substituted, each option with what follows it is scored after what stands before it: the
        full score of Trinh and Le (2018), for models that follow no instructions.
        """
        if options.answer_format != "substituted":
            return super().format(example, options)
        before, _, after = example.question.partition("_")
        filled = tuple(f"{choice}{after}" for choice in example.choices)
        text = f"Sentence: {before}".rstrip()
        return Prompt(target=filled[int(example.answer)], text=text, choices=filled)


class SocialIqa(ChoiceDomain):
    """What people want, feel and do in everyday situations (Sap et al. 2019)."""

    name = "social_iqa"
    version = "2"
    hub = "allenai/social_i_qa"

    def rows(self, options: ChoiceOptions) -> Iterator[Row]:
        """Yield the questions with their labels, those of dev first."""
        if options.path is None:  # its own script is refused by datasets 4; this is its outcome
            return hub_rows(self.hub, HELD_OUT, revision="refs/convert/parquet")
        return _labelled_rows(options.path)

    def example(self, row: Row, options: ChoiceOptions) -> Example:
        """Convert a question; those on one context are one unit."""
        context, question = row.text("context"), row.text("question")
        asked = plain(question)
        kinds = (kind for words, kind in QUESTION_TYPES.items() if words in f"{asked} ")
        return choice_example(
            f"{context} {question}",
            tuple(row.text(f"answer{letter}") for letter in "ABC"),
            _counted(row, "label", "123"),
            max_choices=options.max_choices,
            known_by=(context, question),
            group=next(kinds, "other"),
            unit=stable_id(context),
            split=row.split,
        )


class CommonsenseQa(ChoiceDomain):
    """Questions on how everyday concepts relate (Talmor et al. 2019)."""

    name = "commonsense_qa"
    version = "2"
    hub = "tau/commonsense_qa"

    def rows(self, options: ChoiceOptions) -> Iterator[Row]:
        """Yield the questions, those of dev first."""
        if options.path is None:
            return hub_rows(self.hub, HELD_OUT)
        return _json_rows(options.path, CONCEPT_FILES)

    def example(self, row: Row, options: ChoiceOptions) -> Example:
        """Convert a question in the official form or the hub's."""
        asked = row.value("question")
        if isinstance(asked, dict):
            row = row._replace(values={**row.values, **asked, "question": asked.get("stem")})
        question, choices = row.text("question"), _listed(row)
        return choice_example(
            question,
            choices,
            answer_place(row, row.text("answerKey"), len(choices)),
            max_choices=options.max_choices,
            group=question_word(question),
            split=row.split,
        )


def _json_rows(path: Path, files: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    for split, file in split_files(path, files):
        yield from json_rows(file, split)


def _labelled_rows(path: Path) -> Iterator[Row]:
    """Yield rows with the labels of the file beside theirs, such as `dev-labels.lst`."""
    for split, file in split_files(path, SITUATION_FILES):
        rows = list(json_rows(file, split))
        beside = file.with_name(f"{file.stem}-labels.lst")
        labels = list(line_rows(beside))
        if len(labels) != len(rows):
            message = f"{len(labels):,} labels for the {len(rows):,} rows of {file.name}"
            raise DataError(message, where=str(beside))
        for row, (where, label) in zip(rows, labels, strict=True):
            if label.strip() in {"1", "2", "3"}:
                yield row._replace(values={**row.values, "label": label})
            else:
                yield Row(where, {}, split, f"unknown label {label!r}: allowed: 1, 2, 3")


def _counted(row: Row, column: str, allowed: str) -> int:
    """Return the place that a number from 1 names.

    Raises:
        DataError: If it names none.
    """
    said = row.text(column)
    if len(said) != 1 or said not in allowed:
        raise row.error(f"unknown {column} {said!r}: allowed: {', '.join(allowed)}")
    return int(said) - 1


def _listed(row: Row) -> tuple[str, ...]:
    """Return the options, which count on from A: pairs officially, two lists on the hub."""
    listed: Any = row.value("choices")
    try:
        if isinstance(listed, dict):
            listed = [
                {"label": label, "text": text}
                for label, text in zip(listed["label"], listed["text"], strict=True)
            ]
        labels = "".join(option["label"] for option in listed)
        options = tuple(tidy(option["text"]) for option in listed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise row.error("the choices are no list of label and text") from error
    if len(options) < 2 or labels != "ABCDEFGHIJ"[: len(options)] or not all(options):
        raise row.error(f"the choices {labels!r} do not count on from A, or one is empty")
    return options


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domains."""
    return [Winogrande(), SocialIqa(), CommonsenseQa()]
