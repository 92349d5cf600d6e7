from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import DataError
from kdsearch.plugin import Example
from kdsearch.plugin.reading import (
    Row,
    csv_rows,
    examples,
    hub_rows,
    json_rows,
    plain,
    split_files,
    stable_id,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def example(row: Row) -> Example:
    text = row.text("text")
    return Example(id=stable_id(text), question=text, answer="", split=row.split)


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


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('{"text": "Up"}\n\n{"text": \n', 3, "no valid JSON"),
        ('["Up"]\n', 1, "no JSON object"),
        ('{"text": null, "label": 1}\n', 1, "the row has no 'text': it has text, label"),
        ('{"text": " "}\r\n', 1, "the text is empty"),
    ],
)
def test_a_bad_json_row_names_its_line(file: Path, content: str, line: int, message: str) -> None:
    file.write_text(content, encoding="utf8", newline="")
    with pytest.raises(DataError, match=message) as caught:
        list(examples(json_rows(file), example, on_bad_row="error", source=file))
    assert caught.value.where == f"{file}:{line}"


def test_lines_end_at_newlines_alone(file: Path) -> None:
    file.write_text('{"text": "Up\u2028\u0085today"}\n{"text": "Down"}\n', encoding="utf8")
    assert [row.text("text") for row in json_rows(file)] == ["Up today", "Down"]


def test_bad_rows_are_skipped_and_counted(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text('{"text": "Up"}\n{\n{"text": ""}\n', encoding="utf8")
    with caplog.at_level(logging.WARNING):
        (kept,) = examples(json_rows(file), example, on_bad_row="skip", source=file)
    assert kept.question == "Up"
    assert f"bad rows skipped: 2, the first at {file}:2: no valid JSON" in caplog.text


def test_of_equal_examples_the_first_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        Row(str(n), {"text": text}, split)
        for n, (text, split) in enumerate(
            [("Up", "dev"), ("up ", "train"), ("Down", "train"), ("DOWN", "train")]
        )
    ]
    with caplog.at_level(logging.INFO):
        kept = list(examples(rows, example, on_bad_row="error", source="here"))
    assert [(each.question, each.split) for each in kept] == [("Up", "dev"), ("Down", "train")]
    assert "repeats left out: 2, of which 1 stand in another split" in caplog.text


def test_a_unit_stays_in_the_split_where_it_began(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row("", {"text": f"{n}"}, split) for n, split in enumerate(("dev", "train", "dev"))]

    def paired(row: Row) -> Example:
        return replace(example(row), unit="pair")

    with caplog.at_level(logging.INFO):
        kept = list(examples(rows, paired, on_bad_row="error", source="here"))
    assert [each.question for each in kept] == ["0", "2"]
    assert "left out, their unit in another split: 1" in caplog.text


def test_a_key_says_what_is_equal() -> None:
    rows = [Row("", {"text": text}) for text in ("Up", "Down")]
    kept = examples(rows, example, on_bad_row="error", source="", key=lambda each: str(each.answer))
    assert len(list(kept)) == 1


def test_no_row_is_refused() -> None:
    with pytest.raises(DataError, match="here: there is no row to use"):
        list(examples([], example, on_bad_row="skip", source="here"))


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


def test_hub_rows_come_by_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(*names: str, **request: Any) -> dict[str, list[dict[str, str]]]:
        asked.append((names, request))
        return {"train": [{"text": "Up"}], "validation": [{"text": "Down"}]}

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    rows = hub_rows(
        "a/b", {"dev": "validation", "test": "test", "train": "train"}, "main", revision="x"
    )
    assert [(row.where, row.split) for row in rows] == [
        ("a/b/validation:1", "dev"),
        ("a/b/train:1", "train"),
    ]
    assert asked == [(("a/b", "main"), {"revision": "x"})]


def test_a_hub_out_of_reach_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*names: str) -> None:
        raise ConnectionError("Couldn't reach\nthe Hub")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(
        DataError, match="a/b: cannot be loaded from the hub: Couldn't reach the Hub"
    ) as caught:
        list(hub_rows("a/b", {"train": "train"}))
    assert "domain.options.path" in str(caught.value.fix)


@given(st.text(), st.text())
def test_ids_hang_on_plain_text_alone(one: str, other: str) -> None:
    assert (stable_id(one) == stable_id(other)) == (plain(one) == plain(other))
    assert stable_id(one, other) == stable_id(f" {one}\n", other)
