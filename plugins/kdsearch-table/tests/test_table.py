from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kdsearch_table import Table, TableOptions
from pydantic import ValidationError

from kdsearch.errors import DataError
from kdsearch.plugin import Prediction
from kdsearch.plugin.api import configured
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Example

FERRIES = [
    {
        "q": "Which sank?",
        "a": "Ada",
        "o": ["Ben", "Ada", "Cleo"],
        "alias": ["the Ada"],
        "year": 2022,
    },
    {"q": "Which burned?", "a": "Dan", "o": ["Dan", "Eva", "Finn"], "alias": [], "year": 2024},
]
CHOICE = {"answer": "choice", "columns": {"question": "q", "answer": "a", "choices": "o"}}
TEAMS = {
    "answer": "label",
    "columns": {"question": ["subject", "body"], "answer": "team", "group": "channel"},
    "labels": {"0": "billing", 1: "returns"},
}
TICKETS = 'subject,body,team,channel\nHello,"Where is\nmy money?",0,mail\nHi,It is broken.,1,web\n'


def write(file: Path, content: Any) -> Path:
    lines = content if isinstance(content, str) else "\n".join(map(json.dumps, content))
    file.write_text(lines, encoding="utf8")
    return file


def load(path: Path, given: dict[str, Any], **others: Any) -> list[Example]:
    options = TableOptions.model_validate({**given, **others, "path": path})
    return list(configured(Table(), options).load(options))


def as_parquet(rows: list[dict[str, Any]], file: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def test_every_kind_of_file_reads_alike(tmp_path: Path) -> None:
    first = load(write(tmp_path / "a.jsonl", FERRIES), CHOICE)
    listed = write(tmp_path / "a.json", json.dumps(FERRIES))
    cells = [f"{row['q']}\t{row['a']}\t{row['o']}" for row in FERRIES]
    tabbed = write(tmp_path / "a.tsv", "\n".join(["q\ta\to", *cells]))
    files = [listed, tabbed, as_parquet(FERRIES, tmp_path / "a.parquet")]
    assert [load(file, CHOICE) for file in files] == [first] * 3
    assert first[0].choices == ("Ben", "Ada", "Cleo")
    assert [each.answer for each in first] == [1, 0]


@pytest.mark.parametrize(
    ("answer_is", "said"), [("text", "Ada"), ("letter", "B"), ("from_zero", 1), ("from_one", 2)]
)
def test_an_option_is_named_in_four_ways(tmp_path: Path, answer_is: str, said: Any) -> None:
    file = write(tmp_path / "a.jsonl", [FERRIES[0] | {"a": said}])
    assert load(file, CHOICE, answer_is=answer_is)[0].answer == 1
    write(file, [FERRIES[0] | {"a": "9"}])
    with pytest.raises(DataError, match=r"a\.jsonl:1: unknown answer '9': allowed"):
        load(file, CHOICE, answer_is=answer_is)


def test_options_may_have_a_column_each(tmp_path: Path) -> None:
    columns = {"question": "q", "answer": "a", "choices": ["x", "y", "z"]}
    file = write(tmp_path / "a.csv", "q,a,x,y,z\nWhich?,Ben,Ada,Ben,\nWhat?,Cleo,Ada,Ben,Cleo\n")
    found = load(file, {"answer": "choice", "columns": columns})
    assert [len(each.choices) for each in found] == [2, 3]


def test_labels_are_mapped_and_columns_joined(tmp_path: Path) -> None:
    options = TableOptions.model_validate(TEAMS | {"instruction": "Which team?", "cue": "Team:"})
    domain = configured(Table(), options)
    first, second = load(write(tmp_path / "a.csv", TICKETS), TEAMS)
    assert (first.question, first.group) == ("Hello\nWhere is my money?", "mail")
    prompt = domain.format(second, options)
    assert prompt.text == "Which team?\nHi\nIt is broken.\nA. billing\nB. returns\nTeam:"
    assert (prompt.target, prompt.choices) == ("B", ("A", "B"))
    scores = domain.score([Prediction("", "", choice=1)] * 2, [first, second])
    assert scores.per_item == {"accuracy": [0.0, 1.0]}
    assert scores.aggregates == {"macro_f1": pytest.approx(1 / 3)}


def test_a_free_answer_has_aliases(tmp_path: Path) -> None:
    given = {"answer": "text", "columns": {"question": "q", "answer": "a", "aliases": "alias"}}
    file = write(tmp_path / "a.jsonl", FERRIES[:1])
    (example,) = load(file, given)
    domain = configured(Table(), TableOptions.model_validate(given))
    scores = domain.score([Prediction("", "The Ada!")], [example])
    assert scores.per_item == {"exact_match": [1.0], "token_f1": [1.0]}


def test_a_number_is_compared_by_value(tmp_path: Path) -> None:
    given = {"answer": "number", "columns": {"question": "q", "answer": "a"}}
    (example,) = load(write(tmp_path / "a.csv", 'q,a\nHow many?,"1,200.0 kg"\n'), given)
    domain = configured(Table(), TableOptions.model_validate(given))
    assert (example.answer, domain.metrics) == ("1200", ("accuracy",))
    assert domain.score([Prediction("", "$1200")], [example]).per_item == {"accuracy": [1.0]}


def test_files_of_a_folder_are_splits_and_train_loses_what_others_ask(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", FERRIES)
    write(tmp_path / "dev.jsonl", FERRIES[1:])
    found = load(tmp_path, CHOICE)
    assert [(each.split, each.question) for each in found] == [
        ("dev", "Which burned?"),
        ("train", "Which sank?"),
    ]


@pytest.mark.parametrize(
    ("starts", "splits"),
    [
        ({}, ["2022", "2024"]),
        ({"confirm": 2024}, ["confirm", None]),
        ({"dev": "2021"}, ["dev"] * 2),
    ],
)
def test_a_column_tells_the_split(tmp_path: Path, starts: Any, splits: list[str | None]) -> None:
    columns = CHOICE["columns"] | {"split": "year"}  # type: ignore[operator]  # a mapping
    file = write(tmp_path / "a.jsonl", FERRIES)
    found = load(file, CHOICE, columns=columns, split_from=starts)
    assert [each.split for each in found] == splits


def test_reads_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, {"train": FERRIES})
    options = TableOptions.model_validate(CHOICE | {"hub": "a/b", "configuration": "main"})
    assert [each.split for each in Table().load(options)] == ["train"] * 2
    assert asked == [(("a/b", "main"), {})]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"answer": "choice"}, "columns", "needs columns.choices"),
    ({"labels": ["a", "b"]}, "labels", "labels are for answer: label"),
    ({"answer": "label"}, "labels", "two labels at least"),
    ({"answer": "number", "columns": {"aliases": "o"}}, "columns", "is for answer: text"),
    ({"columns": {"choices": "o"}}, "columns", "is for answer: choice"),
    ({"split_from": {"dev": 1}}, "split_from", "needs columns.split"),
    ({"answer": "essay"}, "answer", "choice"),
    ({"columns": {"anser": "a"}}, "anser", "Extra inputs"),
]


@pytest.mark.parametrize(("change", "place", "message"), WRONG)
def test_options_that_do_not_fit_are_refused(
    change: dict[str, Any], place: str, message: str
) -> None:
    columns = {"question": "q", "answer": "a"} | change.pop("columns", {})
    with pytest.raises(ValidationError, match=message) as caught:
        TableOptions.model_validate({"answer": "text", "columns": columns} | change)
    assert place in caught.value.errors()[0]["loc"]


BAD = [
    ({"a": "Zoe"}, "unknown answer 'Zoe': allowed: Ben, Ada, Cleo"),
    ({"a": ""}, "the a is empty"),
    ({"q": None}, "the row has no 'q'"),
    ({"o": ["Ada"]}, "it has 1 options"),
    ({"o": ["Ada", "Ada"]}, "two options are the same"),
    ({"o": ["Ada", " "]}, "the o is empty"),
    ({"n": "1", "q": "Why?"}, "the id '1' is also that of another question, at "),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_row_of_many_names_its_line_or_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], message: str
) -> None:
    columns = CHOICE["columns"] | {"id": "n"}  # type: ignore[operator]  # a mapping
    rows = [FERRIES[0] | {"q": f"Number {n}?", "n": str(n)} for n in range(200)]
    file = write(tmp_path / "a.jsonl", [*rows[:150], rows[150] | change, *rows[151:]])
    with pytest.raises(DataError, match=message) as caught:
        load(file, CHOICE, columns=columns)
    assert caught.value.where == f"{file}:151"
    with caplog.at_level(logging.WARNING):
        assert len(load(file, CHOICE, columns=columns, on_bad_row="skip")) == 199
    assert f"bad rows skipped: 1 of 200, the first at {file}:151" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "q,b\nWhich?,1\n", "the row has no 'a': it has q, b"),
        ("a.txt", "q", "unknown kind of file '.txt': allowed: .csv"),
        ("a.json", '[{"q": 1},\n}', "no valid JSON"),
        ("a.parquet", "q", "no valid Parquet"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        load(file, CHOICE)
    assert str(caught.value.where).startswith(str(file))


def test_without_data_it_says_what_to_set() -> None:
    with pytest.raises(DataError, match=r"set domain.options.path or .hub"):
        list(Table().load(TableOptions.model_validate(CHOICE)))


def test_enters_by_entry_point() -> None:
    assert Host().domains["table"].source.distribution == "kdsearch-table"


class TestChoiceTable(DomainContract):
    domain = Table()
    kind: ClassVar[dict[str, Any]] = CHOICE

    def options(self, folder: Path) -> TableOptions:
        rows = [FERRIES[0] | {"q": f"Which sank {number}th?", "n": number} for number in range(3)]
        path = write(folder / "a.jsonl", rows)
        return TableOptions.model_validate(self.kind | {"path": path, "instruction": "Choose."})


class TestLabelTable(TestChoiceTable):
    kind: ClassVar[dict[str, Any]] = {
        "answer": "label",
        "columns": {"question": "q", "answer": "a"},
        "labels": ["Ada", "Ben"],
    }


class TestTextTable(TestChoiceTable):
    kind: ClassVar[dict[str, Any]] = {"answer": "text", "columns": {"question": "q", "answer": "a"}}


class TestNumberTable(TestChoiceTable):
    kind: ClassVar[dict[str, Any]] = {
        "answer": "number",
        "columns": {"question": "q", "answer": "n"},
    }
