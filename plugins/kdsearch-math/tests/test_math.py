from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_math import AquaRat, Gsm8k

from kdsearch.errors import DataError
from kdsearch.plugin import ChoiceOptions, DataOptions, Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Domain, Example

CRATES = {
    "question": "A cart holds 3 crates of 4 pears. How many pears is that?",
    "options": ["A)7", "B)12", "C)34", "D)43", "E)1"],
    "rationale": "3 crates x 4 = 12\nAnswer: B",
    "correct": "B",
}
TABULAR = (
    'A 5" pipe loses 10% of its length.\\nHow long is it?\\nOptions:\\n(A) 4.5"\\n(B) 5 cm'
    '\\n(C) x (y)\\n(D) 4\\n(E) 5\t(C)\t10% of 5\\nis "0.5'
)
PEARS = {
    "question": "Ada picks 48 pears and  half as many plums. How many fruits is that?",
    "answer": "Plums: 48/2 = <<48/2=24>>24.\nTogether 48+24 = <<48+24=72>>72.\n#### 1,072",
}


def write(file: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf8")
    return file


def aqua_rat(path: Path, **options: Any) -> list[Example]:
    return list(AquaRat().load(ChoiceOptions(path=path, **options)))


def gsm8k(path: Path, **options: Any) -> list[Example]:
    return list(Gsm8k().load(DataOptions(path=path, **options)))


@pytest.mark.parametrize("name", ["dev.jsonl", "dev.json"])
def test_aqua_rat_reads_the_official_form(tmp_path: Path, name: str) -> None:
    (example,) = aqua_rat(write(tmp_path / name, CRATES))
    assert example.choices == ("7", "12", "34", "43", "1")
    assert (example.answer, example.split, example.group) == (1, "dev", "numbers")
    assert example.rationale == CRATES["rationale"]


def test_aqua_rat_reads_the_tabular_form(tmp_path: Path) -> None:
    (example,) = aqua_rat(write(tmp_path / "train.tsv", TABULAR))
    assert example.question == 'A 5" pipe loses 10% of its length. How long is it?'
    assert example.choices == ('4.5"', "5 cm", "x (y)", "4", "5")
    assert (example.answer, example.split, example.group) == (2, "train", "units and expressions")
    assert example.rationale == '10% of 5\nis "0.5'


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        ("a cart holds 3 crates of 4 pears,  how many pears is that", 1),
        ("A cart holds 3 crates of 4pears. How many pears is that ?", 1),
        ("A cart holds 3 crates of 5 pears. How many pears is that?", 2),
        ("A cart holds -3 crates of 4 pears. How many pears is that?", 2),
        ("A cart holds 3 crates of .4 pears. How many pears is that?", 2),
    ],
)
def test_a_problem_asked_again_is_dropped(tmp_path: Path, again: str, kept: int) -> None:
    other = CRATES | {"question": again, "options": ["A)12", "B)13"], "correct": "A"}
    assert len(aqua_rat(write(tmp_path / "train.jsonl", CRATES, other))) == kept


def test_a_problem_of_dev_is_left_out_of_train(tmp_path: Path) -> None:
    write(tmp_path / "dev.jsonl", CRATES)
    leak = f"{CRATES['question']}\\nOptions:\\n(A) 12\\n(B) 13\t(A)\tas before"
    write(tmp_path / "train.tsv", TABULAR, leak)
    found = [(example.split, len(example.choices)) for example in aqua_rat(tmp_path)]
    assert found == [("dev", 5), ("train", 5)]


@pytest.mark.parametrize(
    ("answer_format", "names", "target"),
    [("letter", ("A", "B", "C", "D", "E"), "B"), ("integer", ("1", "2", "3", "4", "5"), "2")],
)
def test_aqua_rat_asks_by_name(
    tmp_path: Path, answer_format: Any, names: tuple[str, ...], target: str
) -> None:
    (example,) = aqua_rat(write(tmp_path / "dev.jsonl", CRATES))
    prompt = AquaRat().format(example, ChoiceOptions(answer_format=answer_format))
    assert prompt.text is not None
    assert prompt.text.splitlines()[1:3] == [f"{names[0]}. 7", f"{names[1]}. 12"]
    assert (prompt.choices, prompt.target) == (names, target)


def test_two_choices_keep_the_answer(tmp_path: Path) -> None:
    (example,) = aqua_rat(write(tmp_path / "dev.jsonl", CRATES), max_choices=2)
    assert len(example.choices) == 2
    assert example.choices[int(example.answer)] == "12"


def test_gsm8k_reads_number_and_rationale(tmp_path: Path) -> None:
    (example,) = gsm8k(write(tmp_path / "test.jsonl", PEARS))
    assert example.question == "Ada picks 48 pears and half as many plums. How many fruits is that?"
    assert (example.answer, example.split, example.group) == ("1072", "test", "2 steps")
    assert example.rationale == "Plums: 48/2 = 24.\nTogether 48+24 = 72."


@pytest.mark.parametrize(
    ("final", "answer"), [("-3", "-3"), ("$18", "18"), ("70,000", "70000"), ("2.50", "2.5")]
)
def test_gsm8k_writes_numbers_plainly(tmp_path: Path, final: str, answer: str) -> None:
    row = PEARS | {"answer": f"One.\n#### {final}"}
    assert gsm8k(write(tmp_path / "train.jsonl", row))[0].answer == answer


def test_gsm8k_keeps_test_out_of_train(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", PEARS)
    other = PEARS | {"question": "How many plums?"}
    write(tmp_path / "train.jsonl", PEARS | {"question": str(PEARS["question"]).upper()}, other)
    found = [(example.split, example.question) for example in gsm8k(tmp_path)]
    assert found[1:] == [("train", "How many plums?")]


def test_gsm8k_asks_for_the_number_alone(tmp_path: Path) -> None:
    (example,) = gsm8k(write(tmp_path / "train.jsonl", PEARS))
    prompt = Gsm8k().format(example, DataOptions())
    assert prompt.text == f"{example.question}\nAnswer:"
    assert (prompt.target, prompt.choices) == ("1072", ())


@pytest.mark.parametrize(
    ("said", "score"), [("1072", 1.0), ("$1,072.00", 1.0), ("48 + 24 = 1072.", 1.0), ("72", 0.0)]
)
def test_gsm8k_compares_by_value(tmp_path: Path, said: str, score: float) -> None:
    (example,) = gsm8k(write(tmp_path / "train.jsonl", PEARS))
    scores = Gsm8k().score([Prediction(example.id, said)], [example])
    assert scores.per_item == {"accuracy": [score]}


def test_aqua_rat_counts_right_choices(tmp_path: Path) -> None:
    (example,) = aqua_rat(write(tmp_path / "dev.jsonl", CRATES))
    given = [Prediction("", "", choice=choice) for choice in (1, 0, None)]
    assert AquaRat().score(given, [example] * 3).per_item == {"accuracy": [1.0, 0.0, 0.0]}


BAD: list[tuple[Domain, Any, Any, str]] = [
    (AquaRat(), CRATES, CRATES | {"correct": "F"}, "unknown answer 'F': allowed: A, B, C, D, E"),
    (AquaRat(), CRATES, CRATES | {"correct": ""}, "the correct is empty"),
    (AquaRat(), CRATES, CRATES | {"options": "A)7"}, "no list of at least two"),
    (AquaRat(), CRATES, CRATES | {"options": ["A)7", "C)8"]}, "'B\\)TEXT' was expected"),
    (AquaRat(), CRATES, CRATES | {"options": ["A)7", "B)"]}, "'B\\)TEXT' was expected"),
    (AquaRat(), CRATES, CRATES | {"question": "\n"}, "the question is empty"),
    (Gsm8k(), PEARS, PEARS | {"answer": "72"}, "does not end by '#### NUMBER'"),
    (Gsm8k(), PEARS, PEARS | {"answer": "#### none"}, "does not end by '#### NUMBER'"),
    (Gsm8k(), PEARS, {"question": "How many?"}, "the row has no 'answer'"),
    (Gsm8k(), PEARS, '{"question": "How', "no valid JSON"),
]


@pytest.mark.parametrize(("domain", "row", "bad", "message"), BAD, ids=[each[3] for each in BAD])
def test_a_bad_row_names_its_line_or_is_skipped(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    domain: Domain,
    row: Any,
    bad: Any,
    message: str,
) -> None:
    file = write(tmp_path / "train.jsonl", row, bad)
    with pytest.raises(DataError, match=message) as caught:
        list(domain.load(domain.Options(path=file)))
    assert caught.value.where == f"{file}:2"
    with caplog.at_level(logging.WARNING):
        assert len(list(domain.load(domain.Options(path=file, on_bad_row="skip")))) == 1
    assert f"bad rows skipped: 1 of 2, the first at {file}:2" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TABULAR.replace("\t(C)", ""), "the row has 2 fields"),
        (TABULAR.replace("(C)\t", "\t"), "the correct is empty"),
        (TABULAR.replace("Options:", ""), "the question is empty"),
        (TABULAR.replace("\\n(B)", "\\n(X)"), "'B\\)TEXT' was expected"),
    ],
)
def test_a_bad_tabular_row_names_its_line(tmp_path: Path, row: str, message: str) -> None:
    file = write(tmp_path / "train.tsv", TABULAR, row)
    with pytest.raises(DataError, match=message) as caught:
        aqua_rat(file)
    assert caught.value.where == f"{file}:2"


def test_reads_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, {"validation": [CRATES], "test": [CRATES | PEARS]})
    assert [example.split for example in AquaRat().load(ChoiceOptions())] == ["test", "dev"]
    assert [example.answer for example in Gsm8k().load(DataOptions())] == ["1072"]
    assert [names for names, _ in asked] == [("deepmind/aqua_rat", "raw"), ("openai/gsm8k", "main")]


@pytest.mark.parametrize("domain", [AquaRat(), Gsm8k()], ids=lambda each: each.name)
def test_a_hub_out_of_reach_is_told_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, domain: Domain
) -> None:
    fake_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(DataError, match="no network") as caught:
        list(domain.load(domain.Options()))
    assert "domain.options.path" in str(caught.value.fix)


@pytest.mark.parametrize("name", ["aqua_rat", "gsm8k"])
def test_enters_by_entry_point(name: str) -> None:
    offer = Host().domains[name]
    assert (offer.source.distribution, offer.source.plugin) == ("kdsearch-math", "math")


class TestAquaRat(DomainContract):
    domain = AquaRat()

    def options(self, folder: Path) -> ChoiceOptions:
        rows = [CRATES | {"question": f"How many are {number} pears?"} for number in range(3)]
        return ChoiceOptions(path=write(folder / "dev.jsonl", *rows), max_choices=2)


class TestGsm8k(DomainContract):
    domain = Gsm8k()

    def options(self, folder: Path) -> DataOptions:
        rows = [PEARS | {"question": f"How many are {number} pears?"} for number in range(3)]
        return DataOptions(path=write(folder / "train.jsonl", *rows))
