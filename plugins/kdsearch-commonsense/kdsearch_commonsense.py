"""Commonsense reasoning by multiple choice: `winogrande`, `social_iqa` and `commonsense_qa`.

Local files in their official forms, or the hub where no path is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
    ChoiceOptions,
    answer_place,
    choice_prompt,
    choice_scores,
    limited,
)
from kdsearch.plugin.reading import (
    DataOptions,
    Row,
    examples,
    hub_rows,
    json_rows,
    line_rows,
    plain,
    split_files,
    stable_id,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

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
QUESTION_WORDS = ("what", "where", "how", "why", "who", "when", "which")


class WinograndeOptions(DataOptions):
    """Where the sentences are and how they are asked."""

    size: Literal["xl", "l", "m", "s", "xs"] | None = None
    """Which training set of a folder or the hub; the largest that is there unless given."""
    answer_format: Literal["letter", "integer", "substituted"] = "letter"
    """Answer by A, B or 1, 2, or continue the sentence by option and remainder."""


class Winogrande:
    """Which of two options fills the blank of a sentence (Sakaguchi et al. 2020)."""

    name = "winogrande"
    version = "1"
    Options = WinograndeOptions
    answer = Answer.CHOICE
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    stop = ("\n",)
    hub = "allenai/winogrande"

    def load(self, options: WinograndeOptions) -> Iterator[Example]:
        """Yield every sentence once; the two of a pair, told by the stem of `qID`, are one unit.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        sizes = (options.size,) if options.size else SIZES
        files = {"dev": ("dev.jsonl",), "train": tuple(f"train_{size}.jsonl" for size in sizes)}
        if options.path is None:
            rows = hub_rows(self.hub, HELD_OUT, f"winogrande_{sizes[0]}")
        else:
            rows = _json_rows(options.path, files)
        source = options.path or self.hub
        return examples(rows, _sentence, on_bad_row=options.on_bad_row, source=source)

    def format(self, example: Example, options: WinograndeOptions) -> Prompt:
        """Show the sentence and list both options, or stop at the blank.

        Substituted, each option with what follows it is scored after what stands before it: the
        full score of Trinh and Le (2018), for models that follow no instructions.
        """
        if options.answer_format != "substituted":
            return choice_prompt(example, options.answer_format)
        before, _, after = example.question.partition("_")
        filled = tuple(f"{choice}{after}" for choice in example.choices)
        text = f"Sentence: {before}".rstrip()
        return Prompt(target=filled[int(example.answer)], text=text, choices=filled)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


class SocialIqa:
    """What people want, feel and do in everyday situations (Sap et al. 2019)."""

    name = "social_iqa"
    version = "1"
    Options = ChoiceOptions
    answer = Answer.CHOICE
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    stop = ("\n",)
    hub = "allenai/social_i_qa"

    def load(self, options: ChoiceOptions) -> Iterator[Example]:
        """Yield every question once; those on one context are one unit.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        if options.path is None:  # its own script is refused by datasets 4; this is its outcome
            rows = hub_rows(self.hub, HELD_OUT, revision="refs/convert/parquet")
        else:
            rows = _labelled_rows(options.path)
        return examples(
            rows,
            lambda row: _situation(row, options.max_choices),
            on_bad_row=options.on_bad_row,
            source=options.path or self.hub,
        )

    def format(self, example: Example, options: ChoiceOptions) -> Prompt:
        """List the options by name."""
        return choice_prompt(example, options.answer_format)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


class CommonsenseQa:
    """Questions on how everyday concepts relate (Talmor et al. 2019)."""

    name = "commonsense_qa"
    version = "1"
    Options = ChoiceOptions
    answer = Answer.CHOICE
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    stop = ("\n",)
    hub = "tau/commonsense_qa"

    def load(self, options: ChoiceOptions) -> Iterator[Example]:
        """Yield every question once.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        if options.path is None:
            rows = hub_rows(self.hub, HELD_OUT)
        else:
            rows = _json_rows(options.path, CONCEPT_FILES)
        return examples(
            rows,
            lambda row: _concept(row, options.max_choices),
            on_bad_row=options.on_bad_row,
            source=options.path or self.hub,
        )

    def format(self, example: Example, options: ChoiceOptions) -> Prompt:
        """List the options by name."""
        return choice_prompt(example, options.answer_format)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


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


def _sentence(row: Row) -> Example:
    """Convert a row of WinoGrande; people's names and things make the groups."""
    sentence = row.text("sentence")
    choices = (row.text("option1"), row.text("option2"))
    answer = row.text("answer")
    if sentence.count("_") != 1:
        raise row.error(f"the sentence has {sentence.count('_')} blanks, and one is asked for")
    if plain(choices[0]) == plain(choices[1]):
        raise row.error(f"both options are {choices[0]!r}")
    if answer not in {"1", "2"}:
        raise row.error(f"unknown answer {answer!r}: allowed: 1, 2")
    stem, _, _ = str(row.values.get("qID") or "").rpartition("-")
    return Example(
        id=stable_id(sentence, *sorted(map(plain, choices))),
        question=sentence,
        answer=int(answer) - 1,
        choices=choices,
        group="people" if all(choice[0].isupper() for choice in choices) else "things",
        unit=stem or None,
        split=row.split,
    )


def _situation(row: Row, max_choices: int | None) -> Example:
    """Convert a row of SocialIQA."""
    context, question = row.text("context"), row.text("question")
    options = tuple(row.text(f"answer{letter}") for letter in "ABC")
    label = row.text("label")
    if label not in {"1", "2", "3"}:
        raise row.error(f"unknown label {label!r}: allowed: 1, 2, 3")
    id_ = stable_id(context, question, *sorted(map(plain, options)))
    choices, answer = limited(options, int(label) - 1, max_choices, id_)
    asked = plain(question)
    kinds = (kind for words, kind in QUESTION_TYPES.items() if words in f"{asked} ")
    return Example(
        id=id_,
        question=f"{context} {question}",
        answer=answer,
        choices=choices,
        group=next(kinds, "other"),
        unit=stable_id(context),
        split=row.split,
    )


def _concept(row: Row, max_choices: int | None) -> Example:
    """Convert a row of CommonsenseQA, in the official form or the hub's."""
    asked = row.value("question")
    if isinstance(asked, dict):
        row = row._replace(values={**row.values, **asked, "question": asked.get("stem")})
    question = row.text("question")
    options = _listed(row)
    answer = answer_place(row, row.text("answerKey"), len(options))
    id_ = stable_id(question, *sorted(map(plain, options)))
    choices, answer = limited(options, answer, max_choices, id_)
    word = plain(question).split()[0]
    return Example(
        id=id_,
        question=question,
        answer=answer,
        choices=choices,
        group=word if word in QUESTION_WORDS else "other",
        split=row.split,
    )


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
