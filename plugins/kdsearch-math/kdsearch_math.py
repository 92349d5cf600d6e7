"""Word problems of mathematics with their rationales: `aqua_rat` and `gsm8k`.

Local files in their official forms, AQuA-RAT's also in the tabular form of FLAN, or the hub where
no path is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kdsearch.plugin import (
    API,
    ChoiceDomain,
    ChoiceOptions,
    DataOptions,
    Domain,
    Example,
    NumberDomain,
    Row,
    hookimpl,
)
from kdsearch.plugin.answers import last_number
from kdsearch.plugin.choices import LETTERS, answer_place, choice_example
from kdsearch.plugin.files import json_rows, line_rows, split_files
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import plain, stable_id, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator
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


class AquaRat(ChoiceDomain):
    """Algebraic word problems with five options and rationales (Ling et al. 2017)."""

    name = "aqua_rat"
    version = "2"
    hub = "deepmind/aqua_rat"

    def rows(self, options: ChoiceOptions) -> Iterator[Row]:
        """Yield the problems, those of test and dev first."""
        if options.path is None:
            splits = {"test": "test", "dev": "validation", "train": "train"}
            return hub_rows(self.hub, splits, "raw")
        return _aqua_rows(options.path)

    def example(self, row: Row, options: ChoiceOptions) -> Example:
        """Convert a problem; options of bare numbers make one group, others another."""
        question, choices = row.text("question"), _choices(row)
        numbers = all(re.fullmatch(r"[-\d.,/ ]+", choice) for choice in choices)
        return choice_example(
            question,
            choices,
            answer_place(row, row.text("correct"), len(choices)),
            max_choices=options.max_choices,
            known_by=(_bare(question),),
            rationale=str(row.values.get("rationale") or "").strip() or None,
            group="numbers" if numbers else "units and expressions",
            split=row.split,
        )

    def key(self, example: Example) -> str:
        """Return the question: with other options it is the same problem."""
        return _bare(example.question)


class Gsm8k(NumberDomain):
    """Word problems of grade school, answered by a number (Cobbe et al. 2021)."""

    name = "gsm8k"
    version = "1"
    hub = "openai/gsm8k"

    def rows(self, options: DataOptions) -> Iterator[Row]:
        """Yield the problems, those of test first."""
        if options.path is None:
            yield from hub_rows(self.hub, {"test": "test", "train": "train"}, "main")
            return
        for split, file in split_files(options.path, GSM_FILES):
            yield from json_rows(file, split)

    def example(self, row: Row, options: DataOptions) -> Example:
        """Convert a problem, whose answer ends by `#### NUMBER`; its steps make the groups."""
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


def _choices(row: Row) -> tuple[str, ...]:
    """Return the options of a problem, each written after its letter."""
    listed = row.value("options")
    if not isinstance(listed, list) or len(listed) < 2:
        raise row.error("the options are no list of at least two")
    choices = []
    for letter, said in zip(LETTERS, map(str, listed), strict=False):
        name, _, text = said.partition(")")
        if name.strip(" (") != letter or not text.strip():
            raise row.error(f"{said!r} is no option: '{letter})TEXT' was expected")
        choices.append(tidy(text))
    return tuple(choices)


def _bare(text: str) -> str:
    """Return a question without whitespace and the signs that end words and sentences.

    Signs within a formula stay: without them different problems would be the same.
    """
    return "".join(SIGNS.sub("", plain(text)).split())


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domains."""
    return [AquaRat(), Gsm8k()]
