from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_trivia.open_answers import NqOpen, TriviaQa

from kdsearch.errors import DataError
from kdsearch.plugin import DataOptions, Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Domain, Example

FERRY = {"question": "Who steered the ferry?", "answer": ["Ada Example", "Ada"]}
OFFICIAL = {
    "Question": FERRY["question"],
    "QuestionId": "tc_0",
    "Answer": {"Value": "Ada Example", "Aliases": ["Ada Example", "Ada"]},
}
HUB = {"question": FERRY["question"], "answer": {"value": "Ada Example", "aliases": ["Ada"]}}


def write(file: Path, content: Any, *rows: Any) -> Path:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in (content, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf8")
    return file


def load(path: Path, domain: TriviaQa | NqOpen, **options: Any) -> list[Example]:
    return list(domain.load(DataOptions(path=path, **options)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("web-train.json", {"Data": [OFFICIAL], "Split": "train"}),
        ("pool.jsonl", FERRY),
        ("subset.csv", "question,answer\nWho steered the ferry?,\"['Ada Example', 'Ada']\""),
    ],
)
def test_trivia_qa_reads_every_form(tmp_path: Path, name: str, content: Any) -> None:
    (example,) = load(write(tmp_path / name, content), TriviaQa())
    assert (example.answer, example.aliases) == ("Ada Example", ("Ada",))
    assert (example.group, example.split) == ("who", "train")


def test_trivia_qa_keeps_dev_out_of_train(tmp_path: Path) -> None:
    write(tmp_path / "wikipedia-dev.json", {"Data": [OFFICIAL]})
    write(tmp_path / "web-test-without-answers.json", {"Data": [{"Question": "When?"}]})
    write(tmp_path / "pool.jsonl", FERRY, {"question": "What sank?", "answer": "Nothing"})
    found = [(each.split, each.question) for each in load(tmp_path, TriviaQa())]
    assert found == [("dev", FERRY["question"]), ("train", "What sank?")]


def test_nq_open_reads_the_official_form(tmp_path: Path) -> None:
    write(tmp_path / "NQ-open.dev.jsonl", FERRY)
    write(tmp_path / "NQ-open.train.jsonl", FERRY, {"question": "what sank", "answer": ["one"]})
    assert [each.split for each in load(tmp_path, NqOpen())] == ["dev", "train"]


@pytest.mark.parametrize(("domain", "row"), [(TriviaQa(), HUB), (NqOpen(), FERRY)])
def test_reads_the_hub(monkeypatch: pytest.MonkeyPatch, domain: Domain, row: Any) -> None:
    fake_hub(monkeypatch, {"validation": [row]})
    (example,) = domain.load(DataOptions())
    assert (example.answer, example.aliases, example.split) == ("Ada Example", ("Ada",), "dev")


def test_any_alias_is_right_once_normalised(tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "pool.jsonl", FERRY), TriviaQa())
    given = [Prediction("", text) for text in ("the ADA!", "Ada Other", "")]
    scores = TriviaQa().score(given, [example] * 3).per_item
    assert scores["exact_match"] == [1.0, 0.0, 0.0]
    assert scores["token_f1"] == [1.0, pytest.approx(2 / 3), 0.0]
    prompt = TriviaQa().format(example, DataOptions())
    assert (prompt.text, prompt.target) == ("Who steered the ferry?\nAnswer:", "Ada Example")


BAD = [
    (TriviaQa(), {"question": "Who?"}, "the row has no 'answer'"),
    (TriviaQa(), {"question": "Who?", "answer": {"value": " "}}, "the answer is empty"),
    (TriviaQa(), {"question": " ", "answer": "Ada"}, "the question is empty"),
    (NqOpen(), {"question": "Who?", "answer": []}, "the answer is empty"),
]


@pytest.mark.parametrize(("domain", "row", "message"), BAD, ids=[each[2] for each in BAD])
def test_a_bad_row_names_its_line_or_is_skipped(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    domain: TriviaQa | NqOpen,
    row: Any,
    message: str,
) -> None:
    file = write(tmp_path / "train.jsonl", FERRY, row)
    with pytest.raises(DataError, match=message) as caught:
        load(file, domain)
    assert caught.value.where == f"{file}:2"
    with caplog.at_level(logging.WARNING):
        assert len(load(file, domain, on_bad_row="skip")) == 1
    assert f"bad rows skipped: 1 of 2, the first at {file}:2" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("web-dev.json", "[]", "a JSON list was expected under 'Data'"),
        ("web-dev.json", '{"Data": [\n}', "no valid JSON"),
        ("none.txt", "", "the folder holds no questions"),
    ],
)
def test_a_folder_of_no_use_is_told(tmp_path: Path, name: str, content: str, message: str) -> None:
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        load(tmp_path, TriviaQa())


@pytest.mark.parametrize("name", ["trivia_qa", "nq_open"])
def test_enters_by_entry_point(name: str) -> None:
    assert Host().domains[name].source.distribution == "kdsearch-trivia"


class TestTriviaQa(DomainContract):
    domain: Domain = TriviaQa()

    def options(self, folder: Path) -> DataOptions:
        rows = [FERRY | {"question": f"Who steered ferry {number}?"} for number in range(3)]
        return DataOptions(path=write(folder / "train.jsonl", *rows))


class TestNqOpen(TestTriviaQa):
    domain = NqOpen()
