"""Any table of questions as the domain `table`: the spec maps its columns, and no code is needed.

Files are CSV, TSV, JSONL, JSON or Parquet, or a dataset of the hub.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from kdsearch.errors import DataError
from kdsearch.plugin import (
    API,
    Answer,
    ChoiceDomain,
    DataOptions,
    Domain,
    Example,
    LabelDomain,
    NumberDomain,
    Options,
    Prompt,
    Row,
    TextDomain,
    hookimpl,
)
from kdsearch.plugin.answers import last_number
from kdsearch.plugin.choices import LETTERS, answer_place, choice_example, choice_prompt
from kdsearch.plugin.domains import DataDomain
from kdsearch.plugin.files import PATH_ADVICE, READERS, table_rows
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import plain, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kdsearch.plugin import Prediction, Scores

KDSEARCH_API = API

KINDS: dict[Answer, ChoiceDomain | TextDomain] = {
    Answer.CHOICE: ChoiceDomain(),
    Answer.LABEL: LabelDomain(),
    Answer.TEXT: TextDomain(),
    Answer.NUMBER: NumberDomain(),
}
"""How each kind of answer is asked for and judged."""


class Columns(Options):
    """Where each part of an example stands."""

    question: str | tuple[str, ...]
    """A column, or several whose texts follow each other, a line each."""
    answer: str
    """The right answer."""
    choices: str | tuple[str, ...] | None = None
    """A column for each option, or one that holds a list of them."""
    aliases: str | None = None
    """A list of other right answers, for `answer: text`."""
    rationale: str | None = None
    """Why the answer is right, for losses that learn from it."""
    group: str | None = None
    """The slice for error analysis and balanced training."""
    unit: str | None = None
    """Rows of one unit are not independent and stay in one split."""
    id: str | None = None
    """A name of its own for each row; else question and options name it."""
    split: str | None = None
    """The official split, which `splits` may name as `official:…`; see `split_from` too."""


class TableOptions(DataOptions):
    """Where the table is, and what its columns mean."""

    hub: str | None = None
    """A dataset on the hub, where no path is given."""
    configuration: str | None = None
    """Which of the hub dataset's configurations, where there are several."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """What stands between the fields of a CSV file; in `.tsv` files it is a tab."""
    answer: Answer
    """`choice`: of the row's own options; `label`: of the same few classes; `text`; `number`."""
    columns: Columns = Field(validate_default=True)
    """Where each part of an example stands."""
    labels: dict[str, str] = Field(default={}, validate_default=True)
    """For `answer: label`, what each value of the answer column is called; a list where they are
    called as they stand."""
    answer_is: Literal["text", "letter", "from_zero", "from_one"] = "text"
    """How the answer column names an option: its text, its letter, or its place."""
    answer_format: Literal["letter", "integer", "word"] = "letter"
    """Options are called A, B, C or 1, 2, 3 or by themselves, and so is the answer."""
    max_choices: int | None = Field(default=None, ge=2)
    """Ask with at most so many options: the right one and others, picked and ordered by a hash."""
    instruction: str = ""
    """What stands before every question; never cut."""
    cue: str = "Answer:"
    """What stands after it."""
    max_new_tokens: int = Field(default=24, ge=1, le=1_000_000)
    """The longest answer to generate, for `answer: text` and `number`."""
    split_from: dict[str, float] | dict[str, str] = Field(default={})
    """Splits by where each begins in the split column, such as `{dev: 2023, confirm: 2024}`:
    numbers, or texts such as dates; rows before the first are of no official split."""

    @field_validator("columns")
    @classmethod
    def _have_choices(cls, columns: Columns, info: ValidationInfo) -> Columns:
        """Ask for the options of a choice, and for nothing that is not read."""
        answer = info.data.get("answer")
        if answer is Answer.CHOICE and columns.choices is None:
            raise ValueError("answer: choice needs columns.choices")
        if answer not in (None, Answer.CHOICE) and columns.choices is not None:
            raise ValueError(f"columns.choices is for answer: choice, and this is {answer}")
        if answer not in (None, Answer.TEXT) and columns.aliases is not None:
            raise ValueError(f"columns.aliases is for answer: text, and this is {answer}")
        return columns

    @field_validator("labels", mode="before")
    @classmethod
    def _mapped(cls, given: Any) -> Any:
        """Take a list for a mapping of each value to itself, and numbers for their texts."""
        pairs = given.items() if isinstance(given, dict) else [(each, each) for each in given or ()]
        return {str(value): str(label) for value, label in pairs}

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        """Ask for two classes at least, and for none where there are no classes."""
        answer = info.data.get("answer")
        if answer is Answer.LABEL and len(set(labels.values())) < 2:
            raise ValueError("answer: label needs two labels at least, such as [billing, returns]")
        if answer not in (None, Answer.LABEL) and labels:
            raise ValueError(f"labels are for answer: label, and this is {answer}")
        return labels

    @field_validator("split_from")
    @classmethod
    def _has_column(cls, starts: Any, info: ValidationInfo) -> Any:
        """Ask for the column that the starts are compared with."""
        columns = info.data.get("columns")
        if starts and columns is not None and columns.split is None:
            raise ValueError("split_from needs columns.split")
        return starts

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, each once, in the order of the spec."""
        return tuple(dict.fromkeys(self.labels.values()))


class Table(DataDomain):
    """Questions from a table; its options say which kind of answer it asks for."""

    name = "table"
    version = "1"
    Options = TableOptions

    def __init__(self, answer: Answer = Answer.TEXT, max_new_tokens: int = 24) -> None:
        self.answer = answer
        self.kind = KINDS[answer]
        self.metrics = self.kind.metrics
        self.aggregates = self.kind.aggregates
        self.max_new_tokens = max_new_tokens

    def with_options(self, options: TableOptions) -> Table:
        """Return the domain for the kind of answer that the options ask for."""
        return Table(options.answer, options.max_new_tokens)

    def rows(self, options: TableOptions) -> list[Row]:
        """Return the rows, those that are not of train first."""
        if options.path is not None:
            found = _file_rows(options.path, options.delimiter)
        elif options.hub is not None:
            found = hub_rows(options.hub, None, options.configuration)
        else:
            raise DataError(
                "it has no data", where="domain 'table'", fix="set domain.options.path or .hub"
            )
        placed = (_placed(row, options) for row in found)
        return sorted(placed, key=lambda row: row.split in (None, "train"))

    def example(self, row: Row, options: TableOptions) -> Example:
        """Convert a row; without a column of ids, question and options name it."""
        columns = options.columns
        asked = (columns.question,) if isinstance(columns.question, str) else columns.question
        question = "\n".join(map(row.text, asked))
        optional: dict[str, Any] = {
            name: row.text(column)
            for name in ("group", "unit", "rationale")
            if (column := getattr(columns, name)) is not None
        }
        example = _answered(row, question, options)
        if columns.id is not None:
            example = replace(example, id=row.text(columns.id))
        return replace(example, split=row.split, **optional)

    def classes(self, options: TableOptions) -> tuple[str, ...]:
        """Return the labels; there are none for other kinds of answer."""
        return options.classes

    def key(self, example: Example) -> str:
        """Return question and options: rows of another id that ask the same are repeats."""
        return stable_id(example.question, *sorted(map(plain, example.choices)))

    def format(self, example: Example, options: TableOptions) -> Prompt:
        """Put the instruction before the question, and the cue after it."""
        if options.instruction:
            example = replace(example, question=f"{options.instruction}\n{example.question}")
        if example.choices:
            return choice_prompt(example, options.answer_format, options.cue)
        return Prompt(target=str(example.answer), text=f"{example.question}\n{options.cue}")

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Judge as every domain of the kind does."""
        return self.kind.score(predictions, examples)


def _file_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a file, or of every table of a folder, whose name is the split."""
    files: list[tuple[str | None, Path]] = [(None, path)]
    if path.is_dir():
        files = [(file.stem, file) for file in sorted(path.iterdir()) if file.suffix in READERS]
        if not files:
            message = f"the folder holds no table: {', '.join(READERS)} are read"
            raise DataError(message, where=str(path), fix=PATH_ADVICE)
    for split, file in files:
        yield from table_rows(file, split, delimiter=delimiter)


def _placed(row: Row, options: TableOptions) -> Row:
    """Return a row with the official split that its column tells."""
    column, starts = options.columns.split, sorted(options.split_from.items(), key=_start)
    if column is None or row.fault:
        return row
    said = str(row.values.get(column) or "").strip()
    if not said:
        return row._replace(fault=f"the {column} is empty")
    if not starts:
        return row._replace(split=said)
    try:
        value = float(said) if isinstance(starts[0][1], float) else said
    except ValueError:
        return row._replace(fault=f"the {column} {said!r} is no number, as split_from is")
    if value != value:  # NaN, which is before and after nothing
        return row._replace(fault=f"the {column} {said!r} is no number, as split_from is")
    reached = [split for split in starts if _start(split) <= value]
    return row._replace(split=reached[-1][0] if reached else None)


def _start(named: tuple[str, Any]) -> Any:
    return named[1]


def _answered(row: Row, question: str, options: TableOptions) -> Example:
    """Return the example of a row with its answer, by the kind asked for."""
    columns = options.columns
    said = row.text(columns.answer)
    if options.answer is Answer.CHOICE:
        choices = _choices(row, columns.choices)
        place = _place(row, said, choices, options.answer_is)
        return choice_example(question, choices, place, max_choices=options.max_choices)
    name = stable_id(question)
    if options.answer is Answer.LABEL:
        if said not in options.labels:
            known = ", ".join(options.labels)
            raise row.error(f"unknown {columns.answer} {said!r}: allowed: {known}")
        place = options.classes.index(options.labels[said])
        return Example(name, question, place, choices=options.classes)
    if options.answer is Answer.NUMBER:
        number = last_number(said)
        if number is None:
            raise row.error(f"the {columns.answer} {said!r} is no number")
        return Example(name, question, f"{number.normalize():f}")
    aliases = row.texts(columns.aliases) if columns.aliases else ()
    return Example(name, question, said, aliases=aliases)


def _choices(row: Row, columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the options of a row; of several columns, empty ones at the end are none.

    Raises:
        DataError: If they are fewer than two, or two are equal.
    """
    if isinstance(columns, tuple):
        filled = [bool(str(row.value(column)).strip()) for column in columns]
        last = max((place for place, text in enumerate(filled) if text), default=-1)
        choices = tuple(row.text(column) for column in columns[: last + 1])
    else:
        choices = row.texts(columns or "")
    if len(choices) < 2 or len(choices) > len(LETTERS):
        raise row.error(f"it has {len(choices)} options, and 2 to {len(LETTERS)} are asked for")
    if len(set(choices)) < len(choices):
        raise row.error(f"two options are the same: {', '.join(choices)}")
    return choices


def _place(row: Row, said: str, choices: tuple[str, ...], answer_is: str) -> int:
    """Return the place of the option that the answer column names.

    Raises:
        DataError: If it names none.
    """
    if answer_is == "letter":
        return answer_place(row, said, len(choices))
    first = {"from_zero": 0, "from_one": 1}.get(answer_is)
    allowed = choices
    if first is not None:
        allowed = tuple(str(place) for place in range(first, first + len(choices)))
    if said not in allowed:
        raise row.error(f"unknown answer {said!r}: allowed: {', '.join(allowed)}")
    return allowed.index(said)


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [Table()]
