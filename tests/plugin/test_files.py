from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import DataError
from kdsearch.plugin.files import csv_rows, json_rows, split_files
from kdsearch.plugin.reading import Row

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def test_csv_rows_name_the_line_on_which_each_begins(file: Path) -> None:
    file.write_bytes('\ufefftext,label\r\n"Up\r\nand up",1\r\n\r\nDown,0\r\n'.encode())
    rows = list(csv_rows(file, "dev", required=("text",)))
    assert [(row.where, row.values["label"]) for row in rows] == [
        (f"{file}:2", "1"),
        (f"{file}:5", "0"),
    ]
    assert [row.split for row in rows] == ["dev", "dev"]


def test_csv_without_a_header_takes_given_columns(file: Path) -> None:
    file.write_text("Up\t1\nDown\t0\textra\n", encoding="utf8")
    first, second = csv_rows(file, columns=("text", "label"), delimiter="\t")
    assert first == Row(f"{file}:1", {"text": "Up", "label": "1"})
    with pytest.raises(DataError, match="2: the row has too few or too many fields"):
        second.text("text")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("name\nUp\n", 1, "no column 'text': the first line has name"),
        ("", 1, "the first line has nothing"),
        ('text\nUp\n"Down\nFlat\n', 3, "no valid CSV from here on"),
        ("text\nUp\nCafé\n".encode("cp1252"), 3, "not UTF-8: byte 0xe9"),
    ],
)
def test_a_broken_csv_names_its_line(
    file: Path, content: str | bytes, line: int, message: str
) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        list(csv_rows(file, required=("text",)))
    assert caught.value.where == f"{file}:{line}"
    assert message in caught.value.message


def test_lines_end_at_newlines_alone(file: Path) -> None:
    file.write_text('{"text": "Up\u2028\u0085today"}\n{"text": "Down"}\n', encoding="utf8")
    assert [row.text("text") for row in json_rows(file)] == ["Up today", "Down"]


NAMES = {"dev": ("dev.jsonl", "dev.json"), "train": ("train.jsonl",)}


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (("train.jsonl", "dev.json"), [("dev", "dev.json"), ("train", "train.jsonl")]),
        (("dev.jsonl", "dev.json"), [("dev", "dev.jsonl")]),
        ((), [("train", "train.jsonl")]),
    ],
)
def test_a_folder_yields_held_out_splits_first(
    tmp_path: Path, present: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    for name in present:
        (tmp_path / name).touch()
    assert [(split, file.name) for split, file in split_files(tmp_path, NAMES)] == found


@pytest.mark.parametrize(("name", "split"), [("dev.json", "dev"), ("mine.jsonl", "train")])
def test_a_file_is_the_split_of_its_name(tmp_path: Path, name: str, split: str) -> None:
    assert list(split_files(tmp_path / name, NAMES)) == [(split, tmp_path / name)]


def test_a_missing_file_is_told_with_a_way_out(file: Path) -> None:
    with pytest.raises(DataError, match="No such file") as caught:
        list(json_rows(file))
    assert "domain.options.path" in str(caught.value.fix)
