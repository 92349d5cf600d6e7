"""MMLU by subject (Hendrycks et al. 2021), as the domain `mmlu`, for evaluation.

Local files in either CSV layout, or the hub where no path is given.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from kdsearch.errors import DataError
from kdsearch.plugin import API, ChoiceDomain, ChoiceOptions, Domain, Use, hookimpl
from kdsearch.plugin.choices import LETTERS, answer_place, choice_example
from kdsearch.plugin.files import PATH_ADVICE, csv_rows
from kdsearch.plugin.hub import hub_rows
from kdsearch.plugin.texts import stable_id, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kdsearch.plugin import Example, Row

KDSEARCH_API = API
HUB = "cais/mmlu"
SPLITS = {"test": "test", "val": "validation", "dev": "dev"}
"""The hub's name of each official split; of a question in two, the first one's copy is kept."""
COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
"""The header of the layout that has one; its answers are 0 to 3, the other's A to D."""
SETS: Mapping[str, tuple[str, ...]] = {
    "history": (
        "high_school_european_history",
        "high_school_us_history",
        "high_school_world_history",
        "prehistory",
    ),
    "law": ("international_law", "jurisprudence", "professional_law"),
    "biology": (
        "anatomy",
        "college_biology",
        "high_school_biology",
        "human_aging",
        "medical_genetics",
        "nutrition",
        "virology",
    ),
    "finance": (
        "business_ethics",
        "econometrics",
        "high_school_macroeconomics",
        "high_school_microeconomics",
        "management",
        "marketing",
        "professional_accounting",
    ),
    "math": (
        "abstract_algebra",
        "college_mathematics",
        "elementary_mathematics",
        "high_school_mathematics",
        "high_school_statistics",
    ),
}
OTHERS = [
    "astronomy",
    "clinical_knowledge",
    "college_chemistry",
    "college_computer_science",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "formal_logic",
    "global_facts",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_physics",
    "high_school_psychology",
    "human_sexuality",
    "logical_fallacies",
    "machine_learning",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "philosophy",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "world_religions",
]
SUBJECTS = frozenset(OTHERS).union(*SETS.values())
PASSAGE = "This question refers to the following information"


class MmluOptions(ChoiceOptions):
    """Which subjects are asked, and where they are."""

    subjects: tuple[str, ...] = ()
    """Sets (history, law, biology, finance, math) and subjects; all that are there unless given."""

    @field_validator("subjects", mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Take one name for a list of one, and refuse a name that MMLU does not have."""
        names = [given] if isinstance(given, str) else given
        for name in names if isinstance(names, list | tuple) else ():
            if name not in SETS and name not in SUBJECTS:
                near = get_close_matches(str(name), (*SETS, *SUBJECTS), n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                known = f"allowed: {', '.join(SETS)} and MMLU's {len(SUBJECTS)} subjects"
                raise ValueError(f"unknown subject {name!r}: {hint}{known}")
        return tuple(names) if isinstance(names, list) else names  # strict mode takes no list

    @property
    def chosen(self) -> tuple[str, ...]:
        """The subjects, those of sets included; none for all."""
        found = [subject for name in self.subjects for subject in SETS.get(name, (name,))]
        return tuple(dict.fromkeys(found))


class Mmlu(ChoiceDomain):
    """Four-option questions on a subject; there is nothing to train on."""

    name = "mmlu"
    version = "2"
    Options = MmluOptions
    use = Use.EVALUATE
    hub = HUB

    def rows(self, options: MmluOptions) -> Iterator[Row]:
        """Yield the questions on the chosen subjects, those of test and val first."""
        if options.path is None:
            return _hub_rows(options.chosen)
        return _file_rows(options.path, options.chosen)

    def example(self, row: Row, options: MmluOptions) -> Example:
        """Convert a question; those on one passage are one unit, and subjects the groups."""
        question, said = row.text("question"), row.value("answer")
        number = isinstance(said, int) and 0 <= said < 4
        passage, _, asked = str(row.value("question")).strip().rpartition("\n")
        shared = question.startswith(PASSAGE) and passage and asked
        return choice_example(
            question,
            tuple(row.text(f"choice{place}") for place in range(4)),
            answer_place(row, LETTERS[said] if number else row.text("answer"), 4),
            max_choices=options.max_choices,
            group=row.text("subject"),
            unit=f"{row.split} {stable_id(tidy(passage))}" if shared else None,
            split=row.split,
        )


def _hub_rows(chosen: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of the chosen subjects, in the form of the files."""
    for row in hub_rows(HUB, SPLITS, "all"):
        subject = row.values.get("subject")
        if not chosen or subject in chosen:
            listed = row.values.get("choices") or ()
            values = {f"choice{place}": choice for place, choice in enumerate(listed)}
            yield row._replace(values={**row.values, **values})


def _file_rows(path: Path, chosen: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of one file, or of a folder's files of the chosen subjects."""
    files = _files(path)
    for subject in chosen:
        if not any(found == subject for found, _, _ in files):
            message = f"it holds no file of the subject '{subject}', such as {subject}_val.csv"
            raise DataError(message, where=str(path), fix=PATH_ADVICE)
    for subject, split, file in files:
        if not chosen or subject in chosen:
            yield from _rows(file, subject, split)


def _files(path: Path) -> list[tuple[str, str, Path]]:
    """Return subject, split and file, the splits in order; a folder may hold one for each split."""
    files = [path]
    if path.is_dir():
        files = [
            file
            for split in SPLITS
            for folder in (path / split, path)
            for file in sorted(folder.glob(f"*_{split}.csv"))
        ]
    named = [(file.stem.rpartition("_"), file) for file in files]
    return [(subject or split, split, file) for (subject, _, split), file in named]


def _rows(file: Path, subject: str, split: str) -> Iterator[Row]:
    """Yield the rows of a file in either layout, answers by letter."""
    header = False
    for row in csv_rows(file, split, columns=COLUMNS):
        if row.where.endswith(":1") and row.values.get("answer") == "answer":
            header = True
            continue
        values = {**row.values, "subject": subject}
        if header:
            values["answer"] = _number(row.values.get("answer"))
        yield row._replace(values=values)


def _number(said: Any) -> Any:
    """Return an answer from 0 to 3 as a number, anything else as it is."""
    return int(said) if str(said).strip() in {"0", "1", "2", "3"} else said


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domain."""
    return [Mmlu()]
