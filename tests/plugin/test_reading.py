from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import DataError
from kdsearch.plugin import Example
from kdsearch.plugin.files import json_rows
from kdsearch.plugin.reading import Counts, Examples, Row
from kdsearch.plugin.texts import stable_id
from kdsearch.splits import fingerprint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def example(row: Row) -> Example:
    text = row.text("text")
    return Example(id=stable_id(text), question=text, answer="", split=row.split)


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
        list(Examples(json_rows(file), example, on_bad_row="error", source=file))
    assert caught.value.where == f"{file}:{line}"


def test_bad_rows_are_skipped_and_counted(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text('{"text": "Up"}\n{\n{"text": ""}\n', encoding="utf8")
    with caplog.at_level(logging.WARNING):
        (kept,) = Examples(json_rows(file), example, on_bad_row="skip", source=file)
    assert kept.question == "Up"
    assert f"bad rows skipped: 2 of 3, the first at {file}:2: no valid JSON" in caplog.text


def test_of_equal_examples_the_first_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        Row(str(n), {"text": text}, split)
        for n, (text, split) in enumerate(
            [("Up", "dev"), ("up ", "train"), ("Down", "train"), ("DOWN", "train")]
        )
    ]
    with caplog.at_level(logging.INFO):
        found = Examples(rows, example, on_bad_row="error", source="here")
        kept = list(found)
    assert [(each.question, each.split) for each in kept] == [("Up", "dev"), ("Down", "train")]
    assert "repeats left out: 2 of 4, of which 1 stand in another split" in caplog.text
    assert (found.counts, found.counts.kept) == (Counts(rows=4, repeats=2, leaked=1), 2)


def test_a_unit_stays_in_the_split_where_it_began(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row("", {"text": f"{n}"}, split) for n, split in enumerate(("dev", "train", "dev"))]

    def paired(row: Row) -> Example:
        return replace(example(row), unit="pair")

    with caplog.at_level(logging.INFO):
        kept = list(Examples(rows, paired, on_bad_row="error", source="here"))
    assert [each.question for each in kept] == ["0", "2"]
    assert "left out, their unit in another split: 1 of 3" in caplog.text


def test_a_key_says_what_is_equal() -> None:
    rows = [Row("", {"text": text}) for text in ("Up", "Down")]
    kept = Examples(rows, example, on_bad_row="error", source="", key=lambda each: str(each.answer))
    assert len(list(kept)) == 1


def test_no_row_is_refused() -> None:
    with pytest.raises(DataError, match="here: there is no row to use"):
        list(Examples([], example, on_bad_row="skip", source="here"))


def test_examples_know_their_line_and_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x"}\n\n{"id": "y"}\n')
    made = Examples(
        json_rows(tmp_path / "a.jsonl"),
        lambda row: Example(row.text("id"), "?", "1"),
        on_bad_row="error",
        source="a",
    )
    first, second = made
    assert [first.origin, second.origin] == [f"{tmp_path / 'a.jsonl'}:{line}" for line in (1, 3)]
    bare = Example("x", "?", "1")
    assert (first, first.said, hash(first)) == (bare, bare.said, hash(bare))
    assert fingerprint([first]) == fingerprint([bare])
    assert first.place("d") == first.origin
    assert bare.place("d") == "domain 'd', example 'x'"
