"""How a domain reads its data: rows of files or of the hub, each with its place for errors.

A plugin turns a row into an example; the rest stands here once: line numbers, encodings, malformed
rows refused or skipped, repeats left out, ids that hang on what is said alone.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import unicodedata
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from kdsearch.errors import DataError
from kdsearch.plugin.api import Example, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Item = TypeVar("Item")
logger = logging.getLogger(__name__)

PATH_ADVICE = "set domain.options.path to the file, or to the folder that holds it"


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
        found = tidy(str(self.value(column)))
        if not found:
            raise self.error(f"the {column} is empty")
        return found


def examples(
    rows: Iterable[Item],
    convert: Callable[[Item], Example],
    *,
    on_bad_row: str,
    source: object,
    key: Callable[[Example], str] = lambda example: example.id,
) -> Iterator[Example]:
    """Yield the example of every row once.

    Of equal examples the first is kept, and an example whose unit began in another split is left
    out: rows of held-out splits come before those of train.

    Args:
        rows: What to convert.
        convert: Makes an example of a row; raises `DataError` if the row is malformed.
        on_bad_row: `error` or `skip`.
        source: The file, folder or hub name, for errors.
        key: Two examples of equal keys ask the same.

    Raises:
        DataError: If a row is malformed and may not be skipped, or there is no row to use.
    """
    kept: dict[str, str | None] = {}
    units: dict[str, str | None] = {}
    skipped: list[DataError] = []
    repeats = leaked = divided = 0
    for row in rows:
        try:
            example = convert(row)
        except DataError as error:
            if on_bad_row == "error":
                raise
            skipped.append(error)
            continue
        name = key(example)
        if name in kept:
            repeats += 1
            leaked += kept[name] != example.split
            continue
        if example.unit and units.setdefault(example.unit, example.split) != example.split:
            divided += 1
            continue
        kept[name] = example.split
        yield example
    if skipped:
        logger.warning("bad rows skipped: %d, the first at %s", len(skipped), skipped[0])
    if repeats:
        logger.info("repeats left out: %d, of which %d stand in another split", repeats, leaked)
    if divided:
        logger.info("left out, their unit in another split: %d", divided)
    if not kept:
        raise DataError("there is no row to use", where=str(source))


def split_files(path: Path, names: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder, or one file, by official split.

    Args:
        path: A file, or a folder of the official files.
        names: By split, what its file may be called, held-out splits first.

    Yields:
        Split and file. A file of another name is `train`. A folder without any of the files yields
        the last split's, whose reader says that it is missing.
    """
    if not path.is_dir():
        yield next((split for split, files in names.items() if path.name in files), "train"), path
        return
    found = False
    for split, files in names.items():
        file = next((path / name for name in files if (path / name).exists()), None)
        if file is not None:
            found = True
            yield split, file
    if not found:
        last = list(names)[-1]
        yield last, path / names[last][0]


def csv_rows(
    path: Path,
    split: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    required: Sequence[str] = (),
    delimiter: str = ",",
) -> Iterator[Row]:
    """Yield the rows of a CSV file by the line on which each begins.

    Quoted texts hold newlines. Quotes are read strictly: otherwise one that is never closed would
    swallow the rest of the file as one text.

    Args:
        path: The file, in UTF-8.
        split: The official split of its rows.
        columns: Their names, where the file has no header.
        required: The columns that the header must name.
        delimiter: What stands between fields.

    Raises:
        DataError: If the file cannot be read, is no CSV, or lacks a required column.
    """
    stream = io.StringIO(file_text(path), newline="")
    reader = csv.reader(stream, strict=True, delimiter=delimiter)
    line = 1
    try:
        names = next(reader, []) if columns is None else columns
        for column in required:
            if column not in names:
                listing = ", ".join(names)[:80] or "nothing"
                message = f"no column '{column}': the first line has {listing}"
                raise DataError(message, where=f"{path}:1")
        line = reader.line_num + 1
        for fields in reader:
            if fields and len(fields) == len(names):
                yield Row(f"{path}:{line}", dict(zip(names, fields, strict=True)), split)
            elif fields:
                fault = "the row has too few or too many fields"
                yield Row(f"{path}:{line}", {}, split, fault)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"no valid CSV from here on: {error}", where=f"{path}:{line}") from error


def json_rows(path: Path, split: str | None = None) -> Iterator[Row]:
    """Yield the objects of a JSONL file, one a line; blank lines are none.

    Raises:
        DataError: If the file cannot be read.
    """
    for where, text in line_rows(path):
        try:
            found = json.loads(text)
        except ValueError as error:
            yield Row(where, {}, split, f"no valid JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(where, found, split)
        else:
            yield Row(where, {}, split, f"no JSON object: {shortened(text)}")


def line_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that are not blank, each after its place for errors.

    Raises:
        DataError: If the file cannot be read.
    """
    for number, line in enumerate(file_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.removesuffix("\r")


def file_text(path: Path) -> str:
    """Return a file's text, a byte order mark left out.

    Raises:
        DataError: If it cannot be read, or is not in UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise DataError(message, where=str(path), fix=PATH_ADVICE) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise DataError(message, where=f"{path}:{line}", fix="save the file as UTF-8") from error


def hub_rows(
    name: str, splits: Mapping[str, str], configuration: str | None = None, **request: Any
) -> Iterator[Row]:
    """Yield the rows of a dataset on the hub, downloaded once and kept by the datasets library.

    Args:
        name: The dataset, such as `openai/gsm8k`.
        splits: The hub's name of each official split by our own, held-out splits first.
        configuration: Which of its configurations, where there are several.
        request: What else `datasets.load_dataset` is asked for.

    Raises:
        DataError: If it cannot be loaded, saying how to name local files instead.
    """
    try:
        # By name: this layer stays free of the library, and of the second that it takes to import.
        library = import_module("datasets")
        asked = [name] if configuration is None else [name, configuration]
        loaded = library.load_dataset(*asked, **request)
    except Exception as error:  # offline, refused, moved: the library raises a dozen classes
        message = f"cannot be loaded from the hub: {tidy(str(error))}"
        fix = "set domain.options.path to its files, downloaded elsewhere"
        raise DataError(message, where=name, fix=fix) from error
    for split, theirs in splits.items():
        for number, values in enumerate(loaded.get(theirs, ()), start=1):
            yield Row(f"{name}/{theirs}:{number}", values, split)


def stable_id(*texts: str) -> str:
    """Return 16 hexadecimal digits that hang on the texts alone, as `plain` reads them."""
    return sha256("\n".join(map(plain, texts)).encode()).hexdigest()[:16]


def plain(text: str) -> str:
    """Return a text without case or variants of characters, whitespace normalised."""
    return tidy(unicodedata.normalize("NFKC", text).casefold())


def tidy(text: str) -> str:
    """Return a text with each run of whitespace one space, none at its ends."""
    return " ".join(text.split())


def shortened(text: str) -> str:
    """Return a text quoted for an error, 60 characters at most."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
