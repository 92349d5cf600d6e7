from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_mmlu import SETS, SUBJECTS, Mmlu, MmluOptions
from pydantic import ValidationError

from kdsearch.errors import DataError
from kdsearch.plugin import Prediction, Use
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Example

HEADER = "question,choice0,choice1,choice2,choice3,answer\n"
FLAG = "Which flag is red?,Ada's,Ben's,\"Cleo's, too\",0,"
PASSAGE = '"This question refers to the following information.\nA made-up letter.\n{}",a,b,c,d,A\n'


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def load(path: Path, **options: Any) -> list[Example]:
    return list(Mmlu().load(MmluOptions(path=path, **options)))


@pytest.mark.parametrize("content", [f"{FLAG}C\n", f"{HEADER}{FLAG}2\n", f"\ufeff{FLAG}C\r\n"])
def test_reads_both_layouts(tmp_path: Path, content: str) -> None:
    (example,) = load(write(tmp_path / "prehistory_val.csv", content))
    assert example.choices == ("Ada's", "Ben's", "Cleo's, too", "0")
    assert (example.answer, example.split, example.group) == (2, "val", "prehistory")


@pytest.mark.parametrize("folder", ["val", "."])
def test_a_folder_holds_subjects_by_split(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / "virology_val.csv", f"{FLAG}A\n")
    write(tmp_path / "dev" / "virology_dev.csv", f"{HEADER}{FLAG}0\nWhat?,a,b,c,d,1\n")
    write(tmp_path / "test" / "prehistory_test.csv", "When?,a,b,c,d,D\n")
    found = [(each.group, each.split, each.answer) for each in load(tmp_path)]
    assert found == [("prehistory", "test", 3), ("virology", "val", 0), ("virology", "dev", 1)]
    assert [each.group for each in load(tmp_path, subjects="virology")] == ["virology"] * 2


def test_a_set_is_its_subjects(tmp_path: Path) -> None:
    for subject in (*SETS["law"], "anatomy"):
        write(tmp_path / f"{subject}_val.csv", f"On {subject}?,a,b,c,d,A\n")
    assert {each.group for each in load(tmp_path, subjects=["law"])} == set(SETS["law"])
    assert len(load(tmp_path, subjects=["jurisprudence", "law", "anatomy"])) == 4


def test_the_subjects_are_all_known() -> None:
    assert len(SUBJECTS) == 57
    assert sum(map(len, SETS.values())) == len(set().union(*SETS.values()))


def test_an_unknown_subject_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"unknown subject 'histry': did you mean 'history'"):
        MmluOptions(subjects=["histry"])


def test_a_subject_without_a_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "virology_val.csv", f"{FLAG}A\n")
    with pytest.raises(DataError, match="no file of the subject 'prehistory', such as") as caught:
        load(tmp_path, subjects=["virology", "prehistory"])
    assert caught.value.where == str(tmp_path)


def test_the_same_question_with_other_options_is_another(tmp_path: Path) -> None:
    rows = "Which is true?,a,b,c,d,A\nWhich is TRUE?,b,a,c,d,B\nWhich is true?,a,b,c,e,A\n"
    assert len(load(write(tmp_path / "anatomy_val.csv", rows))) == 2


def test_questions_on_one_passage_are_one_unit(tmp_path: Path) -> None:
    rows = PASSAGE.format("Who?") + PASSAGE.format("When?") + f"{FLAG}A\n"
    units = [each.unit for each in load(write(tmp_path / "prehistory_val.csv", rows))]
    assert units[0] == units[1] is not None
    assert units[2] is None


@pytest.mark.parametrize(("answer_format", "names"), [("letter", "ABCD"), ("integer", "1234")])
def test_options_are_named(tmp_path: Path, answer_format: Any, names: str) -> None:
    (example,) = load(write(tmp_path / "anatomy_val.csv", f"{FLAG}D\n"))
    prompt = Mmlu().format(example, MmluOptions(answer_format=answer_format))
    assert (prompt.choices, prompt.target) == (tuple(names), names[3])


def test_two_choices_keep_the_answer(tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "anatomy_val.csv", f"{FLAG}C\n"), max_choices=2)
    assert len(example.choices) == 2
    assert example.choices[int(example.answer)] == "Cleo's, too"


BAD = {
    "letter outside": (f"{FLAG}E\n", 1, "unknown answer 'E': allowed: A, B, C, D"),
    "number outside": (f"{HEADER}{FLAG}4\n", 2, "unknown answer '4'"),
    "number without header": (f"{FLAG}0\n", 1, "unknown answer '0'"),
    "empty answer": (f"What?,a,b,c,d,A\n{FLAG}\n", 2, "the answer is empty"),
    "empty option": ("What?,a,,c,d,A\n", 1, "the choice1 is empty"),
    "few fields": ("What?,a,b,c,A\n", 1, "too few or too many fields"),
}


@pytest.mark.parametrize(("content", "line", "message"), BAD.values(), ids=BAD)
def test_a_bad_row_names_its_line_or_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, line: int, message: str
) -> None:
    file = write(tmp_path / "anatomy_val.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        load(file)
    assert caught.value.where == f"{file}:{line}"
    write(tmp_path / "virology_val.csv", "Why?,a,b,c,d,A\n")
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path, on_bad_row="skip")[-1].question == "Why?"
    assert "bad rows skipped: 1 of " in caplog.text
    assert f"the first at {file}:{line}" in caplog.text


@pytest.mark.parametrize("name", ["anatomy_val.csv", "."])
def test_missing_files_are_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)


def test_reads_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"question": "Why?", "subject": "anatomy", "choices": list("abcd"), "answer": 3}
    other = row | {"question": "How?", "subject": "virology", "answer": 0}
    fake_hub(monkeypatch, {"validation": [row, other]})
    found = Mmlu().load(MmluOptions(subjects=("anatomy",)))
    assert [(each.group, each.answer, each.split) for each in found] == [("anatomy", 3, "val")]


@pytest.mark.parametrize("answer", [4, -1, 40])
def test_a_hub_answer_outside_is_named(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    row = {"question": "Why?", "subject": "anatomy", "choices": list("abcd"), "answer": answer}
    fake_hub(monkeypatch, {"test": [row]})
    with pytest.raises(DataError, match=f"unknown answer '{answer}'") as caught:
        list(Mmlu().load(MmluOptions()))
    assert caught.value.where == "cais/mmlu/test:1"


def test_a_hub_out_of_reach_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(DataError, match="no network") as caught:
        list(Mmlu().load(MmluOptions()))
    assert "domain.options.path" in str(caught.value.fix)


def test_accuracy_counts_right_choices(tmp_path: Path) -> None:
    (example,) = load(write(tmp_path / "anatomy_val.csv", f"{FLAG}B\n"))
    given = [Prediction("", "", choice=choice) for choice in (1, 0, None)]
    assert Mmlu().score(given, [example] * 3).per_item == {"accuracy": [1.0, 0.0, 0.0]}


def test_enters_by_entry_point() -> None:
    offer = Host().domains["mmlu"]
    assert (offer.source.distribution, offer.source.plugin) == ("kdsearch-mmlu", "mmlu")
    assert Mmlu().use == Use.EVALUATE


class TestMmlu(DomainContract):
    domain = Mmlu()

    def options(self, folder: Path) -> MmluOptions:
        rows = "".join(f"Which is {number}?,a,b,c,d,B\n" for number in range(3))
        return MmluOptions(path=write(folder / "anatomy_val.csv", rows))
