"""The answers of a teacher that is no model here: a file of one JSON object a line.

Each line holds the item's `id` and either `text`, the answer in words, or `choice`: the zero-based
index of an option, its text, or its letter. Where items have options, `text` names one too. With
`scores`, the log-likelihood of each option up to a constant, a student can learn more than the
best one; with `rationale`, the reasons for the answer. Lines of items that no split holds are left
out.

    {"id": "q1", "choice": 0, "scores": [-0.1, -2.4]}
    {"id": "q2", "choice": "B"}
    {"id": "q3", "text": "Paris"}
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kdsearch.errors import DataError
from kdsearch.plugin.api import Prediction, Signal
from kdsearch.plugin.json_values import parse_json
from kdsearch.spec.faults import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kdsearch.plugin.api import Example
    from kdsearch.spec.models import SearchSpec, Stage
    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned

KEY = "teachers.0.predictions"
"""Where the spec names the file."""


class Line(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str | None = None
    choice: int | str | None = None
    scores: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    rationale: str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Line:
        if (self.text is None) == (self.choice is None):
            raise ValueError("give exactly one of text, choice")
        return self


class Placed(NamedTuple):
    """A line with its number, from 1."""

    number: int
    line: Line


class Predictions:
    """A file of a teacher's answers, by the id of the item.

    Args:
        path: The file.

    Raises:
        DataError: If the file is missing, or a line malformed or a second answer to its item.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._placed: dict[str, Placed] = {}
        for number, text in _lines(path):
            line = self._read(number, text)
            first = self._placed.setdefault(line.id, Placed(number, line))
            if first.number != number:
                raise DataError(
                    f"'{line.id}' is answered twice, first at line {first.number}",
                    where=self._where(number),
                )

    def of(self, examples: Iterable[Example]) -> list[Prediction]:
        """Return the answers to examples, in their order.

        Raises:
            DataError: If an answer is none of its item's options, or scores do not suit them.
            KeyError: If an example has no answer; see `check`.
        """
        return [self._prediction(example) for example in examples]

    def check_reasons(self, examples: Iterable[Example]) -> None:
        """Refuse a file that gives no reasons for any answer to these examples.

        Raises:
            DataError: If there are none.
        """
        if not any(self._placed[example.id].line.rationale for example in examples):
            raise DataError(
                "no line of train has a rationale",
                where=str(self.path),
                fix="give `rationale` with the answers, or leave out reasons: teacher",
            )

    def answers(self, examples: Iterable[Example]) -> bool:
        """Whether every example has an answer."""
        return all(example.id in self._placed for example in examples)

    def fingerprint(self, examples: Iterable[Example]) -> str:
        """Return a hash of the answers to some examples, whatever their order."""
        known = (self._placed.get(example.id) for example in examples)
        lines = sorted(each.line.model_dump_json() for each in known if each is not None)
        return hashlib.sha256("\n".join(lines).encode(errors="backslashreplace")).hexdigest()

    def check(self, splits: Mapping[str, Sequence[Example]], scored: Iterable[str] = ()) -> None:
        """Refuse a file that does not serve; no answer is compared with the right one.

        Args:
            splits: By name, the examples that need an answer.
            scored: The splits that need scores too.

        Raises:
            DataError: If answers are missing, outside the options, or without their scores.
        """
        wanted = [(name, example.id) for name, split in splits.items() for example in split]
        self._refuse([pair for pair in wanted if pair[1] not in self._placed], wanted, "answer")
        for split in splits.values():
            self.of(split)
        wanted = [pair for pair in wanted if pair[0] in set(scored)]
        bare = [pair for pair in wanted if not self._placed[pair[1]].line.scores]
        self._refuse(bare, wanted, "scores")

    def _refuse(
        self, lacking: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]], what: str
    ) -> None:
        if lacking:
            split, first = lacking[0]
            raise DataError(
                f"{len(lacking):,} of {len(wanted):,} items have no {what}, the first is "
                f"'{first}' of {split}",
                where=str(self.path),
                fix="a line for every item is needed, found by its id",
            )

    def _where(self, number: int) -> str:
        return f"{self.path}:{number}"

    def _read(self, number: int, text: str) -> Line:
        where = self._where(number)
        try:
            data = parse_json(text)
        except ValueError as error:
            raise DataError(f"not valid JSON: {error}", where=where) from error
        if not isinstance(data, dict):
            raise DataError("not a JSON object", where=where)
        try:
            return Line.model_validate_json(text, strict=True)
        except ValidationError as error:
            message = faults_of(error, Line, data)[0].message
            raise DataError(message, where=where) from error

    def _prediction(self, example: Example) -> Prediction:
        number, line = self._placed[example.id]
        if not example.choices:
            self._refuse_options(number, line)
            text = str(line.text).strip()
            return Prediction(example.id, text, rationale=line.rationale)
        given = line.text if line.choice is None else line.choice
        index = option_named(given, example.choices)
        if index is None:
            last = len(example.choices) - 1
            listed = ", ".join(f'"{choice}"' for choice in example.choices)
            raise DataError(
                f"'{line.id}' is answered {json.dumps(given, ensure_ascii=False)}, which is none "
                f"of its options: {listed}",
                where=self._where(number),
                fix=f"an index from 0 to {last}, an option's text, or its letter",
            )
        if line.scores and len(line.scores) != len(example.choices):
            raise DataError(
                f"'{line.id}' has {len(line.scores)} scores and {len(example.choices)} options",
                where=self._where(number),
            )
        text = example.choices[index]
        return Prediction(example.id, text, index, line.scores, line.rationale)

    def _refuse_options(self, number: int, line: Line) -> None:
        """Refuse choice and scores where there is nothing to choose from."""
        if line.text is None or line.scores:
            key = "choice" if line.text is None else "scores"
            raise DataError(
                f"'{line.id}' has no options, and {key} is given",
                where=self._where(number),
                fix="give text alone",
            )


def check_predictions(spec: SearchSpec, parts: Parts, assigned: Assigned | None) -> None:
    """Refuse answers of a black box that do not serve; without data, only malformed ones.

    Raises:
        DataError: If the file is missing or malformed, or does not answer what is asked.
    """
    first = spec.stage.teachers[0].predictions
    if first is not None:
        given, needs = Predictions(Path(first)), parts.needs_of(spec.stage, 0)
        if assigned is not None:
            splits = assigned._asdict()
            if not needs:
                del splits["train"]
            given.check(splits, ["train"] if Signal.CHOICE_SCORES in needs else [])
            if Signal.RATIONALE in needs:
                given.check_reasons(assigned.train)
    others = [place for place in spec.stage.teaching if place]
    check_taught(spec.stage, parts, others, assigned.train if assigned else None)


def check_taught(
    stage: Stage, parts: Parts, places: Iterable[int], train: Sequence[Example] | None
) -> None:
    """Refuse answers of black boxes that do not serve to teach; without data, malformed ones.

    Args:
        stage: The stage.
        parts: Its plugins.
        places: Of its teachers.
        train: What it trains on.

    Raises:
        DataError: If a file is missing or malformed, or does not answer what is asked.
    """
    for place in places:
        source, needs = stage.teachers[place].predictions, parts.needs_of(stage, place)
        if source is not None:
            given = Predictions(Path(source))
            if needs and train is not None:
                scored = ["train"] if Signal.CHOICE_SCORES in needs else []
                given.check({"train": train}, scored)
                if Signal.RATIONALE in needs:
                    given.check_reasons(train)


def predictions_fingerprint(path: Path) -> str:
    """Return a hash of a file of answers, whole: what runs of earlier versions recorded."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def option_named(given: Any, choices: Sequence[str]) -> int | None:
    """Return which option is meant by an index, a text or a letter, or None.

    Texts go before letters and are compared without case; a text that two options share names
    neither.
    """
    if isinstance(given, int):
        return given if 0 <= given < len(choices) else None
    word = str(given).strip().casefold()
    same = [index for index, choice in enumerate(choices) if choice.strip().casefold() == word]
    if same:
        return same[0] if len(same) == 1 else None
    letters = ascii_uppercase[: len(choices)].casefold()
    return letters.index(word) if len(word) == 1 and word in letters else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, numbered from 1."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for number, text in enumerate(stream, start=1):
                if text.strip():
                    yield number, text
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        where = str(path)
        raise DataError(f"cannot be read: {reason}", where=where, fix=f"set {KEY}") from error
