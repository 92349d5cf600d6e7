from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_finance import FinQa, FinQaOptions

from kdsearch.errors import DataError
from kdsearch.plugin import Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Example

ASKED = {
    "question": "By what share did sales of the made-up mill grow?",
    "answer": "25%",
    "exe_ans": 0.25,
    "program": "subtract(10, 8), divide(#0, 8)",
    "gold_inds": {"table_1": "the sales of 2020 is 10 ; the sales of 2019 is 8 ;"},
}
PAGE = {
    "id": "MILL/2020/page_1.pdf-1",
    "pre_text": ["The mill mills ."],
    "post_text": ["It mills on ."],
    "table": [["", "2020", "2019"], ["sales", "10", "8"]],
    "qa": ASKED,
}


def write(file: Path, *items: Any) -> Path:
    file.write_text(json.dumps(items), encoding="utf8")
    return file


def load(path: Path, **options: Any) -> list[Example]:
    return list(FinQa().load(FinQaOptions(path=path, **options)))


def test_reads_the_official_form(tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "dev.json", PAGE))
    assert example.question.splitlines() == [
        ASKED["question"],
        "The mill mills .",
        "| 2020 | 2019".replace("|", " |", 1),
        "sales | 10 | 8",
        "It mills on .",
    ]
    assert (example.answer, example.split, example.group) == ("0.25", "dev", "2 steps")
    assert example.unit == "MILL/2020/page_1.pdf"


def test_the_gold_facts_alone_stand_for_the_page(tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "dev.json", PAGE), context="gold")
    assert example.question.splitlines()[1:] == list(ASKED["gold_inds"].values())  # type: ignore[attr-defined]  # a mapping


def test_reads_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {key: value for key, value in PAGE.items() if key != "qa"}
    row |= {"question": "How much?", "final_result": "2", "gold_inds": ["sales 10"]}
    fake_hub(monkeypatch, {"validation": [row]})
    (example,) = FinQa().load(FinQaOptions(context="gold"))
    assert (example.question, example.answer) == ("How much?\nsales 10", "2")


@pytest.mark.parametrize(
    ("gold", "said", "score"),
    [
        ("0.25", "0.25", 1.0),
        ("0.25", "25 %", 1.0),
        ("0.25", "about 25.1%.", 1.0),
        ("0.25", "25", 0.0),
        ("0.25", "0.26", 0.0),
        ("-3.8", "$ -3.80", 1.0),
        ("-3.8", "3.8", 0.0),
        ("yes", "Yes.", 1.0),
        ("yes", "no", 0.0),
        ("0.0", "0", 1.0),
        ("2", "", 0.0),
    ],
)
def test_an_answer_is_right_if_near(gold: str, said: str, score: float, tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "dev.json", PAGE | {"qa": ASKED | {"exe_ans": gold}}))
    assert FinQa().score([Prediction("", said)], [example]).per_item == {"accuracy": [score]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qa": 3}, "'qa' is no object"),
        ({"qa": ASKED | {"exe_ans": "n/a"}}, "the answer 'n/a' is no number, yes or no"),
        ({"qa": ASKED | {"exe_ans": ""}}, "the exe_ans is empty"),
        ({"table": "none"}, "the table is no list of rows"),
        ({"id": None}, "the row has no 'id'"),
    ],
)
def test_a_bad_item_is_named_or_skipped(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = write(tmp_path / "train.json", PAGE, PAGE | change)
    with pytest.raises(DataError, match=message) as caught:
        load(file)
    assert caught.value.where == f"{file}:2"
    assert len(load(file, on_bad_row="skip")) == 1


def test_enters_by_entry_point() -> None:
    assert Host().domains["finqa"].source.distribution == "kdsearch-finance"


class TestFinQa(DomainContract):
    domain = FinQa()

    def options(self, folder: Path) -> FinQaOptions:
        items = [
            PAGE | {"id": f"MILL/2020/page_{n}.pdf-1", "qa": ASKED | {"question": f"Which {n}?"}}
            for n in range(3)
        ]
        return FinQaOptions(path=write(folder / "dev.json", *items))
