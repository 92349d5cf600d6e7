"""Word problems of mathematics with their rationales: `aqua_rat` and `gsm8k`.

Local files in their official forms, AQuA-RAT's also in the tabular form of FLAN, or the hub where
no path is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
from kdsearch.plugin.answers import last_number, number_scores
from kdsearch.plugin.choices import (
    LETTERS,
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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KDSEARCH_API = API
AQUA_FILES = {
    "test": ("test.jsonl", "test.json"),
    "dev": ("dev.jsonl", "dev.json"),
    "train": ("train.jsonl", "train.json", "train.tsv"),
}
"""By official split: what its file may be called; `.json` files hold one object a line too."""
GSM_FILES = {"test": ("test.jsonl",), "train": ("train.jsonl",)}
LISTED = re.compile(r"\\n\(([A-Z])\)")
"""What opens an option in the tabular form, the newline written as two characters."""
SIGNS = re.compile(r"[.,;:?!'\"]+(?=\s|$)")
CALCULATION = re.compile(r"<<.*?>>")
"""A calculator's annotation, such as `<<3*4=12>>` (Cobbe et al. 2021)."""


class AquaRat:
    """Algebraic word problems with five options and rationales (Ling et al. 2017)."""

    name = "aqua_rat"
    version = "1"
    Options = ChoiceOptions
    answer = Answer.CHOICE
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 2
    stop = ("\n",)
    hub = "deepmind/aqua_rat"

    def load(self, options: ChoiceOptions) -> Iterator[Example]:
        """Yield every problem once; with other options it is the same problem.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        if options.path is None:
            splits = {"test": "test", "dev": "validation", "train": "train"}
            rows = hub_rows(self.hub, splits, "raw")
        else:
            rows = _aqua_rows(options.path)
        return examples(
            rows,
            lambda row: _problem(row, options.max_choices),
            on_bad_row=options.on_bad_row,
            source=options.path or self.hub,
            key=lambda example: _bare(example.question),
        )

    def format(self, example: Example, options: ChoiceOptions) -> Prompt:
        """List the options by name."""
        return choice_prompt(example, options.answer_format)

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Count the right choices."""
        return choice_scores(predictions, examples)


class Gsm8k:
    """Word problems of grade school, answered by a number (Cobbe et al. 2021)."""

    name = "gsm8k"
    version = "1"
    Options = DataOptions
    answer = Answer.NUMBER
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 16
    """The longest answer has ten digits; some tokenizers take one a token."""
    stop = ("\n",)
    hub = "openai/gsm8k"

    def load(self, options: DataOptions) -> Iterator[Example]:
        """Yield every problem once; the group is the number of its steps.

        Raises:
            DataError: If a file is missing or malformed, or the hub cannot be reached.
        """
        if options.path is None:
            rows = hub_rows(self.hub, {"test": "test", "train": "train"}, "main")
        else:
            files = split_files(options.path, GSM_FILES)
            rows = (row for split, file in files for row in json_rows(file, split))
        source = options.path or self.hub
        return examples(rows, _steps, on_bad_row=options.on_bad_row, source=source)

    def format(self, example: Example, options: DataOptions) -> Prompt:
        """Ask for the number alone."""
        return Prompt(target=str(example.answer), text=f"{example.question}\nAnswer:")

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Compare the last number of each answer, by value."""
        return number_scores(predictions, examples)


def _aqua_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of files in either form, by their endings."""
    for split, file in split_files(path, AQUA_FILES):
        yield from _tabular_rows(file, split) if file.suffix == ".tsv" else json_rows(file, split)


def _tabular_rows(path: Path, split: str) -> Iterator[Row]:
    r"""Yield the rows of FLAN's form: question with options, answer as `(C)`, rationale.

    Fields hold quotes that are never closed and write a newline as `\n`: no dialect of CSV.
    """
    for where, line in line_rows(path):
        fields = line.split("\t")
        if len(fields) != 3:
            fault = f"the row has {len(fields)} fields: question, answer, rationale were expected"
            yield Row(where, {}, split, fault)
            continue
        asked, correct, rationale = fields
        question, _, listed = asked.rpartition("\\nOptions:")
        _, *parts = LISTED.split(listed)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        values = {
            "question": question.replace("\\n", " "),
            "options": [f"{letter}){text}" for letter, text in pairs],
            "correct": correct.strip().removeprefix("(").removesuffix(")"),
            "rationale": rationale.replace("\\n", "\n"),
        }
        yield Row(where, values, split)


def _problem(row: Row, max_choices: int | None) -> Example:
    """Convert a row of AQuA-RAT."""
    question, listed = row.text("question"), row.value("options")
    if not isinstance(listed, list) or len(listed) < 2:
        raise row.error("the options are no list of at least two")
    options = []
    for letter, said in zip(LETTERS, map(str, listed), strict=False):
        name, _, text = said.partition(")")
        if name.strip(" (") != letter or not text.strip():
            raise row.error(f"{said!r} is no option: '{letter})TEXT' was expected")
        options.append(tidy(text))
    answer = answer_place(row, row.text("correct"), len(options))
    id_ = stable_id(_bare(question), *sorted(map(plain, options)))
    choices, answer = limited(options, answer, max_choices, id_)
    numbers = all(re.fullmatch(r"[-\d.,/ ]+", option) for option in options)
    return Example(
        id=id_,
        question=question,
        answer=answer,
        choices=choices,
        rationale=str(row.values.get("rationale") or "").strip() or None,
        group="numbers" if numbers else "units and expressions",
        split=row.split,
    )


def _bare(text: str) -> str:
    """Return a question without whitespace and the signs that end words and sentences.

    Signs within a formula stay: without them different problems would be the same.
    """
    return "".join(SIGNS.sub("", plain(text)).split())


def _steps(row: Row) -> Example:
    """Convert a row of GSM8K: its answer ends by `#### NUMBER`."""
    question = row.text("question")
    reasoning, mark, final = str(row.value("answer")).rpartition("####")
    number = last_number(final)
    if not mark or number is None:
        raise row.error("the answer does not end by '#### NUMBER'")
    rationale = CALCULATION.sub("", reasoning).strip()
    steps = len(rationale.splitlines())
    return Example(
        id=stable_id(question),
        question=question,
        answer=f"{number.normalize():f}",
        rationale=rationale or None,
        group=f"{steps} steps" if steps < 8 else "8 steps or more",
        split=row.split,
    )


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domains."""
    return [AquaRat(), Gsm8k()]
