"""What a domain reads: rows, each with its place for errors, and the examples made of them.

A plugin turns a row into an example; the rest stands here once: malformed rows refused or skipped,
repeats left out.
"""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from kdsearch.errors import DataError
from kdsearch.plugin.api import Example, Options
from kdsearch.plugin.json_values import check_encodable, parse_json
from kdsearch.plugin.texts import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class DataOptions(Options):
    """Where the data are, and what becomes of malformed rows."""

    path: Path | None = None
    """A file, or a folder of the official files; the hub unless given."""
    on_bad_row: Literal["error", "skip"] = "error"
    """Refuse the data at the first malformed row, or leave such rows out and count them."""


class Row(NamedTuple):
    """One row of the data as it stands."""

    where: str
    """Its place for errors, such as `train.csv:12`."""
    values: Mapping[str, Any]
    split: str | None = None
    """The official split."""
    fault: str | None = None
    """Why the row cannot be read; told when a value is asked for."""

    def error(self, message: str) -> DataError:
        """Return an error at the place of the row."""
        return DataError(message, where=self.where)

    def value(self, column: str) -> Any:
        """Return what stands in a column.

        Raises:
            DataError: If the row cannot be read or lacks the column.
        """
        if self.fault:
            raise self.error(self.fault)
        found = self.values.get(column)
        if found is None:
            known = ", ".join(self.values)[:80] or "nothing"
            raise self.error(f"the row has no '{column}': it has {known}")
        return found

    def text(self, column: str) -> str:
        """Return a column's text, each run of whitespace one space.

        Raises:
            DataError: If the row cannot be read, lacks the column, or the text is empty.
        """
        found = self._tidy(column, self.value(column))
        if not found:
            raise self.error(f"the {column} is empty")
        return found

    def texts(self, column: str) -> tuple[str, ...]:
        """Return the texts of a list, in a field of CSV written in the form of JSON or Python.

        What is no list is a list of one.

        Raises:
            DataError: If the row cannot be read, lacks the column, or a text is empty.
        """
        found = listed(self.value(column))
        texts = tuple(self._tidy(column, each) for each in found)
        if not all(texts) or not texts:
            raise self.error(f"the {column} is empty, or one of it")
        return texts

    def _tidy(self, column: str, value: Any) -> str:
        """Return a value as a text that a file can hold."""
        text = tidy(str(value))
        try:
            check_encodable(text)
        except ValueError as error:
            raise self.error(f"the {column}: {error}") from error
        return text


def listed(value: Any) -> list[Any]:
    """Return a list that is one already, or is written in the form of JSON or Python."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        for parse in (parse_json, _parse_python):
            try:
                value = parse(value.strip())
                break
            except ValueError:
                continue
    return list(value) if isinstance(value, list | tuple) else [value]


def _parse_python(text: str) -> Any:
    """Return the value of a Python literal.

    Raises:
        ValueError: If it is none, or the parser gives up.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, on text that is none
            return ast.literal_eval(text)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("no Python literal") from error


@dataclass
class Counts:
    """What became of the rows of a domain's data, once all are read."""

    rows: int = 0
    skipped: int = 0
    """Malformed."""
    repeats: int = 0
    """They ask what an earlier row asks."""
    leaked: int = 0
    """Those of the repeats that stand in another official split than the first."""
    divided: int = 0
    """Left out because their unit began in another official split."""

    @property
    def kept(self) -> int:
        """The examples that were yielded."""
        return self.rows - self.skipped - self.repeats - self.divided


class Examples(Iterable[Example]):
    """The example of every row once, with `counts` of what was left out.

    Of equal examples the first is kept, and an example whose unit began in another split is left
    out: rows of held-out splits come before those of train.

    Args:
        rows: What to convert; gone through once.
        convert: Makes an example of a row; raises `DataError` if the row is malformed.
        on_bad_row: `error` or `skip`.
        source: The file, folder or hub name, for errors.
        key: Two examples of equal keys ask the same.

    An id that two examples share which do not ask the same is a fault of its row.
    """

    def __init__(
        self,
        rows: Iterable[Item],
        convert: Callable[[Item], Example],
        *,
        on_bad_row: str,
        source: object,
        key: Callable[[Example], str] = lambda example: example.id,
    ) -> None:
        self.counts = Counts()
        self._rows = rows
        self._convert: Callable[[Any], Example] = convert
        self._skip = on_bad_row == "skip"
        self._source = source
        self._key = key
        self._first_fault: DataError | None = None

    def __iter__(self) -> Iterator[Example]:
        """Yield the examples.

        Raises:
            DataError: If a row is malformed and may not be skipped, or there is no row to use.
        """
        counts = self.counts = Counts()
        kept: dict[str, str | None] = {}
        units: dict[str, str | None] = {}
        for name, example in self._converted():
            if name in kept:
                counts.repeats += 1
                counts.leaked += kept[name] != example.split
            elif example.unit and units.setdefault(example.unit, example.split) != example.split:
                counts.divided += 1
            else:
                kept[name] = example.split
                yield example
        self._tell()

    def _converted(self) -> Iterator[tuple[str, Example]]:
        """Yield each well-formed example after its key."""
        names: dict[str, tuple[str, str]] = {}
        for row in self._rows:
            self.counts.rows += 1
            try:
                example = self._convert(row)
                where = str(getattr(row, "where", self._source))
                if example.origin is None and hasattr(row, "where"):
                    example = replace(example, origin=where)
                name = self._key(example)
                known, first = names.setdefault(example.id, (name, where))
                if known != name:
                    message = f"the id '{example.id}' is also that of another question, at {first}"
                    raise DataError(message, where=where)
            except DataError as error:
                if not self._skip:
                    raise
                self.counts.skipped += 1
                self._first_fault = self._first_fault or error
            else:
                yield name, example

    def _tell(self) -> None:
        counts, total = self.counts, f"of {self.counts.rows:,}"
        if counts.skipped:
            logger.warning(
                "bad rows skipped: %d %s, the first at %s", counts.skipped, total, self._first_fault
            )
        if counts.repeats:
            message = "repeats left out: %d %s, of which %d stand in another split"
            logger.info(message, counts.repeats, total, counts.leaked)
        if counts.divided:
            logger.info("left out, their unit in another split: %d %s", counts.divided, total)
        if not counts.kept:
            raise DataError("there is no row to use", where=str(self._source))
