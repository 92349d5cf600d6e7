from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_finance import FinancialNews

from kdsearch.errors import DataError
from kdsearch.plugin import LabelOptions, Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Example

NEWS = """text,label\r
$AAA - Invented Bank cut to sell https://t.co/aaa,0\r
"$BBB, the made-up mill,
says ""orders"" doubled",1\r
No change at Example Plc,2\r
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def load(file: Path, content: str | bytes, **options: Any) -> list[Example]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(FinancialNews().load(LabelOptions(path=file, **options)))


def test_reads_the_official_form(file: Path) -> None:
    examples = load(file, NEWS)
    assert [example.answer for example in examples] == [0, 1, 2]
    assert examples[1].question == '$BBB, the made-up mill, says "orders" doubled'
    assert {example.choices for example in examples} == {("bearish", "bullish", "neutral")}
    assert {(example.split, example.group) for example in examples} == {("train", None)}


def test_columns_are_found_by_name(file: Path) -> None:
    (example,) = load(file, "\ufefftext,id,label\nUp,7,1\n\n")
    assert (example.question, example.answer) == ("Up", 1)


@pytest.mark.parametrize(
    "again",
    ["UP  today", "Up today https://t.co/x", "http://t.co/y Up\u00a0today https://t.co/z"],
)
def test_reposts_are_dropped(file: Path, again: str) -> None:
    examples = load(file, f"text,label\nUp today,1\n{again},2\nUp tomorrow,1\n")
    assert [example.question for example in examples] == ["Up today", "Up tomorrow"]


def test_texts_of_links_alone_are_kept_apart(file: Path) -> None:
    assert len(load(file, "text,label\nhttps://t.co/x,1\nhttps://t.co/y,1\n")) == 2


def test_ids_hang_on_the_text_alone(file: Path) -> None:
    first = load(file, "text,label\nUp today,1\nDown,0\n")
    again = load(file, "text,label\nDown https://t.co/x,2\nUp today,1\n")
    assert [example.id for example in again] == [first[1].id, first[0].id]


@pytest.mark.parametrize("names", [("train.csv", "validation.csv"), ("sent_train.csv",) * 2])
def test_a_folder_holds_official_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    train, validation = names[0], names[1].replace("sent_train", "sent_valid")
    (tmp_path / train).write_text("text,label\nUp,1\nDown,0\n", encoding="utf8")
    (tmp_path / validation).write_text("text,label\nup,1\nFlat,2\n", encoding="utf8")
    examples = FinancialNews().load(LabelOptions(path=tmp_path))
    found = {example.question: example.split for example in examples}
    assert found == {"up": "validation", "Flat": "validation", "Down": "train"}


@pytest.mark.parametrize(
    ("name", "split"), [("sent_valid.csv", "validation"), ("mine.csv", "train")]
)
def test_a_file_is_the_split_of_its_name(tmp_path: Path, name: str, split: str) -> None:
    assert {example.split for example in load(tmp_path / name, NEWS)} == {split}


@pytest.mark.parametrize(
    ("answer_format", "listed", "names"),
    [
        ("letter", "A. bearish\nB. bullish\nC. neutral", ("A", "B", "C")),
        ("integer", "1. bearish\n2. bullish\n3. neutral", ("1", "2", "3")),
        ("word", "bearish\nbullish\nneutral", ("bearish", "bullish", "neutral")),
    ],
)
def test_the_prompt_names_the_answers(
    file: Path, answer_format: Any, listed: str, names: tuple[str, ...]
) -> None:
    options = LabelOptions(answer_format=answer_format)
    prompt = FinancialNews().format(load(file, NEWS)[1], options)
    assert prompt.text == (f'$BBB, the made-up mill, says "orders" doubled\n{listed}\nSentiment:')
    assert (prompt.target, prompt.choices) == (names[1], names)


def test_letters_are_the_standard(file: Path) -> None:
    assert FinancialNews().format(load(file, NEWS)[2], LabelOptions()).target == "C"


@pytest.mark.parametrize(
    ("given", "accuracy", "macro_f1"),
    [
        ((0, 1, 2), [1.0, 1.0, 1.0], 1.0),
        ((2, 2, 2), [0.0, 0.0, 1.0], (0 + 0 + 2 / 4) / 3),
        ((0, 2, 2), [1.0, 0.0, 1.0], (1 + 0 + 2 / 3) / 3),
        ((None, 1, 2), [0.0, 1.0, 1.0], (0 + 1 + 1) / 3),
    ],
)
def test_scores_accuracy_and_macro_f1(
    file: Path, given: tuple[int | None, ...], accuracy: list[float], macro_f1: float
) -> None:
    examples = load(file, NEWS)
    blank = Prediction("", "")
    predictions = [replace(blank, choice=choice) for choice in given]
    scores = FinancialNews().score(predictions, examples)
    assert scores.per_item == {"accuracy": accuracy}
    assert scores.aggregates == {"macro_f1": pytest.approx(macro_f1)}


BAD: dict[str, tuple[str | bytes, int, str]] = {
    "label outside": ('text,label\n"Up\nand up",1\nDown,3\n', 4, "unknown label '3': allowed: 0 b"),
    "label as a word": ("text,label\nUp,bullish\n", 2, "unknown label 'bullish'"),
    "empty text": ("text,label\nUp,1\n\n  ,1\n", 4, "the text is empty"),
    "too few fields": ("text,label\nUp\n", 2, "too few or too many fields"),
    "too many fields": ("text,label\nUp, and up,1\n", 2, "too few or too many fields"),
}
BROKEN: dict[str, tuple[str | bytes, int, str]] = {
    "no label": ("text,sentiment\nUp,1\n", 1, "no column 'label': the first line has text, senti"),
    "no header": ("Up,1\nDown,0\n", 1, "no column 'text': the first line has Up, 1"),
    "nothing": ("", 1, "no column 'text': the first line has nothing"),
    "open quote": ('text,label\nUp,1\n"Down,0\nFlat,2\n', 3, "no valid CSV from here on"),
    "stray quote": ('text,label\n"Up" and up,1\n', 2, "no valid CSV from here on"),
    "encoding": ("text,label\nUp,1\nCafé,0\n".encode("cp1252"), 3, "not UTF-8: byte 0xe9"),
}


@pytest.mark.parametrize(("content", "line", "message"), (BAD | BROKEN).values(), ids=BAD | BROKEN)
def test_a_fault_names_its_line(file: Path, content: str | bytes, line: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        load(file, content)
    assert caught.value.where == f"{file}:{line}"
    assert message in caught.value.message


@pytest.mark.parametrize("content", [content for content, _, _ in BAD.values()], ids=BAD)
def test_bad_rows_are_skipped_and_counted(
    file: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        kept = load(file, f"{content}Flat,2\n", on_bad_row="skip")
    assert kept[-1].question == "Flat"
    assert "bad rows skipped: 1 of " in caplog.text
    assert f"the first at {file}:" in caplog.text


@pytest.mark.parametrize("content", [content for content, _, _ in BROKEN.values()], ids=BROKEN)
def test_a_broken_file_is_never_skipped(file: Path, content: str | bytes) -> None:
    with pytest.raises(DataError):
        load(file, content, on_bad_row="skip")


def test_a_file_without_rows_is_refused(file: Path) -> None:
    with pytest.raises(DataError, match="no row to use") as caught:
        load(file, "text,label\n")
    assert caught.value.where == str(file)


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="No such file") as caught:
        list(FinancialNews().load(LabelOptions(path=tmp_path / name)))
    assert caught.value.where == str(tmp_path / ("train.csv" if name == "." else name))


def test_reads_the_hub_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {
        "train": [{"text": "Up", "label": 1}, {"text": "Down", "label": 0}],
        "validation": [{"text": "up https://t.co/x", "label": 1}],
    }
    fake_hub(monkeypatch, splits)
    found = [(each.split, each.answer) for each in FinancialNews().load(LabelOptions())]
    assert found == [("validation", 1), ("train", 0)]


def test_a_hub_row_names_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, {"train": [{"text": "Up"}]})
    with pytest.raises(DataError, match="no 'label'") as caught:
        list(FinancialNews().load(LabelOptions()))
    assert caught.value.where == "zeroshot/twitter-financial-news-sentiment/train:1"


def test_a_hub_out_of_reach_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, ConnectionError("Couldn't reach\nthe Hub"))
    with pytest.raises(DataError, match="Couldn't reach the Hub") as caught:
        list(FinancialNews().load(LabelOptions()))
    assert "domain.options.path" in str(caught.value.fix)


def test_enters_by_entry_point() -> None:
    host = Host()
    offer = host.domains["financial_news"]
    assert (offer.source.distribution, offer.source.plugin) == ("kdsearch-finance", "finance")


class TestFinancialNews(DomainContract):
    domain = FinancialNews()

    def options(self, folder: Path) -> LabelOptions:
        (folder / "train.csv").write_text(NEWS, encoding="utf8")
        return LabelOptions(path=folder, answer_format="word")
