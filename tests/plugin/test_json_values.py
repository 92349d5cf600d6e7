"""JSON that Python takes and a run could not hold is refused at its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import DataError
from kdsearch.inputs.validation import checked
from kdsearch.plugin.api import Example
from kdsearch.plugin.files import item_rows, json_rows
from kdsearch.plugin.json_values import parse_json
from kdsearch.plugin.reading import Row, listed
from kdsearch.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

DEEP = "[" * 100_000 + "]" * 100_000
FAULTS = [
    (DEEP, "nested too deeply"),
    ("9" * 5000, "4300 digits"),
    ("NaN", "NaN is no number of JSON"),
    ("-Infinity", "-Infinity is no number of JSON"),
    ("1e999", "the number 1e999 is too large"),
    (r'"\ud800"', r"half of a surrogate pair, \\ud800"),
    (r'"x\uDFFFy"', r"half of a surrogate pair, \\udfff"),
]


@pytest.mark.parametrize(("value", "told"), FAULTS)
def test_it_is_told_with_file_and_line(tmp_path: Path, value: str, told: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"id": "1", "text": "x"}}\n{{"id": "2", "text": {value}}}\n')
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{told}"):
        [row.value("text") for row in json_rows(file)]
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{told}"):
        Predictions(file)
    file.write_text(f"[{{}},\n{value}]")
    with pytest.raises(DataError, match=rf"a\.jsonl:\d: .*{told}"):
        list(item_rows(file))


@pytest.mark.parametrize("value", [[1, None, True, -2.5e-3], {"a": ["é", "\U0001f600"]}, "\u2028"])
def test_sound_json_reads_as_ever(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize("text", [DEEP, "[{[]: 1}]", "[" * 300 + "'a'" + "]" * 300, "[1](2)", "[9"])
def test_a_list_that_is_none_is_one_text(text: str) -> None:
    assert listed(text) == [text]


def test_a_lone_surrogate_of_any_source_is_told_at_its_row() -> None:
    row = Row("a.parquet:3", {"q": "\ud800", "o": ["fine", "\udfff"]})
    for read in (lambda: row.text("q"), lambda: row.texts("o")):
        with pytest.raises(DataError, match=r"a\.parquet:3: the [qo]: half of a surrogate"):
            read()
    with pytest.raises(DataError, match="example '1': half of a surrogate"):
        checked([Example("1", "\ud800?", "a")], "mine")
