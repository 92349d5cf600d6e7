"""Reads the rows of files, each with its line for errors: CSV, JSONL, JSON, Parquet.

Files are UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import csv
import io
from importlib import import_module
from typing import TYPE_CHECKING

from kdsearch.errors import DataError
from kdsearch.plugin.json_values import parse_json
from kdsearch.plugin.reading import Row
from kdsearch.plugin.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

READERS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""The endings of tables that `table_rows` reads."""
PATH_ADVICE = "set domain.options.path to the file, or to the folder that holds it"


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
            found = parse_json(text)
        except ValueError as error:
            yield Row(where, {}, split, f"no valid JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(where, found, split)
        else:
            yield Row(where, {}, split, f"no JSON object: {shortened(text)}")


def item_rows(path: Path, split: str | None = None, *, below: str | None = None) -> Iterator[Row]:
    """Yield the objects of a JSON file that is one list, each by its number from 1.

    Args:
        path: The file, in UTF-8.
        split: The official split of its rows.
        below: The key under which the list stands, where the file is an object.

    Raises:
        DataError: If the file cannot be read, is no JSON, or holds no such list.
    """
    try:
        found = parse_json(file_text(path))
    except ValueError as error:
        message = f"no valid JSON: {getattr(error, 'msg', error)}"
        raise DataError(message, where=f"{path}:{getattr(error, 'lineno', 1)}") from error
    if below is not None:
        found = found.get(below) if isinstance(found, dict) else None
    if not isinstance(found, list):
        place = f" under '{below}'" if below is not None else ""
        raise DataError(f"a JSON list was expected{place}", where=f"{path}:1")
    for number, item in enumerate(found, start=1):
        fault = None if isinstance(item, dict) else f"no JSON object: {shortened(str(item))}"
        yield Row(f"{path}:{number}", {} if fault else item, split, fault)


def parquet_rows(path: Path, split: str | None = None) -> Iterator[Row]:
    """Yield the rows of a Parquet file, each by its number from 1.

    Raises:
        DataError: If the file cannot be read or is no Parquet.
    """
    library = import_module("pyarrow.parquet")  # by name: it takes a quarter of a second
    number = 0
    try:
        for batch in library.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}:{number}", values, split)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise DataError(message, where=str(path), fix=PATH_ADVICE) from error
    except ValueError as error:  # the library's own errors are these
        message = f"no valid Parquet: {' '.join(str(error).split())}"
        raise DataError(message, where=str(path)) from error


def table_rows(path: Path, split: str | None = None, *, delimiter: str = ",") -> Iterator[Row]:
    """Yield the rows of a table of any kind, told by the ending of its name.

    Args:
        path: A CSV, TSV, JSONL, JSON or Parquet file. A `.json` file is a list, or one object a
            line.
        split: The official split of its rows.
        delimiter: What stands between the fields of a CSV file.

    Raises:
        DataError: If the file cannot be read or is of no such kind.
    """
    kind = path.suffix.lower()
    if kind not in READERS and path.is_file():
        message = f"unknown kind of file '{path.suffix}': allowed: {', '.join(READERS)}"
        raise DataError(message, where=str(path))
    if kind == ".csv":
        yield from csv_rows(path, split, delimiter=delimiter)
    elif kind == ".tsv":
        yield from csv_rows(path, split, delimiter="\t")
    elif kind == ".parquet":
        yield from parquet_rows(path, split)
    elif kind == ".json" and file_text(path).lstrip().startswith("["):
        yield from item_rows(path, split)
    else:
        yield from json_rows(path, split)


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
