from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_trivia.history import HistoryTrivia, TriviaOptions

from kdsearch.errors import DataError
from kdsearch.plugin import Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Example

FERRY = """#Q Which invented ferry sank in this test?
^ The Ada
A The Ben
B The Ada
C The Cleo
D The Dan
"""
BRIDGE = """#Q This made-up bridge is made of glass.
^ False
A True
B False
"""
VERSE = """#Q Who wrote these lines:\r
The sea is grey, \r
A stone is grey?
^ Nobody
A Somebody
B Nobody
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


def load(file: Path, content: str | bytes, **options: Any) -> list[Example]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(HistoryTrivia().load(TriviaOptions(path=file, **options)))


def test_reads_two_and_four_options(file: Path) -> None:
    ferry, bridge = load(file, f"\n{FERRY}\n{BRIDGE}")
    assert ferry.choices == ("The Ben", "The Ada", "The Cleo", "The Dan")
    assert (ferry.answer, ferry.group) == (1, "4 options")
    assert (bridge.answer, bridge.group, bridge.split) == (1, "2 options", None)


def test_lines_before_the_answer_belong_to_the_question(file: Path) -> None:
    (verse,) = load(file, VERSE)
    assert verse.question == "Who wrote these lines: The sea is grey, A stone is grey?"
    assert verse.choices == ("Somebody", "Nobody")


def test_a_folder_holds_history_txt(file: Path) -> None:
    assert load(file, BRIDGE) == list(HistoryTrivia().load(TriviaOptions(path=file.parent)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_reads_either_encoding(file: Path, encoding: str) -> None:
    (example,) = load(file, BRIDGE.replace("glass", "“bärk”").encode(encoding))
    assert example.question == "This made-up bridge is made of “bärk”."


def test_reads_both_encodings_in_one_line(file: Path) -> None:
    (example,) = load(file, BRIDGE.encode().replace(b"glass", b"b\xe4rk and b\xc3\xa4rk"))
    assert example.question == "This made-up bridge is made of bärk and bärk."


def test_a_question_asked_again_is_dropped(file: Path) -> None:
    shuffled = FERRY.replace("A The Ben\nB The Ada", "A The Ada\nB The Ben")
    others = FERRY.replace("The Cleo", "The Eva").upper().replace("^ THE", "^ THE")
    kept = load(file, FERRY + shuffled + others + BRIDGE)
    assert [example.group for example in kept] == ["4 options", "2 options"]
    assert kept[0].choices[0] == "The Ben"


def test_ids_hang_on_text_and_options_alone(file: Path) -> None:
    ferry, bridge = load(file, FERRY + BRIDGE)
    shuffled = FERRY.replace("A The Ben\nB The Ada", "A The  Ada\nB The Ben")
    again = load(file, BRIDGE + shuffled, max_choices=2)
    assert [example.id for example in again] == [bridge.id, ferry.id]
    assert load(file, FERRY.replace("The Cleo", "The Eva"))[0].id != ferry.id


@pytest.mark.parametrize("limit", [2, 3, 4, 9])
def test_max_choices_keeps_the_answer(file: Path, limit: int) -> None:
    whole, reduced = load(file, FERRY)[0], load(file, FERRY, max_choices=limit)[0]
    assert set(reduced.choices) <= set(whole.choices)
    assert len(reduced.choices) == min(limit, 4)
    assert reduced.choices[int(reduced.answer)] == "The Ada"


def test_max_choices_does_not_tell_the_answer_by_its_place(file: Path) -> None:
    head = "#Q Number {0}?\n^ {1}\nA a{0}\nB b{0}\nC c{0}\nD d{0}\n"
    content = "".join(head.format(n, f"{'abcd'[n % 4]}{n}") for n in range(400))
    places = Counter(example.answer for example in load(file, content, max_choices=2))
    assert 160 < places[0] < 240


def test_the_prompt_names_options_by_letter(file: Path) -> None:
    prompt = HistoryTrivia().format(load(file, FERRY)[0], TriviaOptions(path=file))
    assert prompt.text is not None
    assert prompt.text.splitlines() == [
        "Which invented ferry sank in this test?",
        *("A. The Ben", "B. The Ada", "C. The Cleo", "D. The Dan"),
        "Answer:",
    ]
    assert (prompt.target, prompt.choices) == ("B", ("A", "B", "C", "D"))


def test_the_prompt_may_name_options_by_integer(file: Path) -> None:
    options = TriviaOptions(path=file, answer_format="integer")
    prompt = HistoryTrivia().format(load(file, BRIDGE)[0], options)
    assert prompt.text == "This made-up bridge is made of glass.\n1. True\n2. False\nAnswer:"
    assert (prompt.target, prompt.choices) == ("2", ("1", "2"))


def test_a_cut_question_leaves_options_and_target(file: Path) -> None:
    example = load(file, FERRY)[0]
    cut = HistoryTrivia().format(replace(example, question="Which"), TriviaOptions(path=file))
    assert cut.text == "Which\nA. The Ben\nB. The Ada\nC. The Cleo\nD. The Dan\nAnswer:"
    assert cut.target == "B"


def test_accuracy_counts_right_choices(file: Path) -> None:
    examples = load(file, FERRY + BRIDGE)
    given = [Prediction(example.id, "", choice=1) for example in examples]
    wrong = [replace(given[0], choice=0), replace(given[1], choice=None)]
    assert HistoryTrivia().score(given, examples).per_item == {"accuracy": [1.0, 1.0]}
    assert HistoryTrivia().score(wrong, examples).per_item == {"accuracy": [0.0, 0.0]}


BAD = {
    "answer outside": (BRIDGE.replace("^ False", "^ Maybe"), 2, "'Maybe' is none of the options"),
    "empty answer": (BRIDGE.replace("^ False", "^"), 2, "'' is none of the options"),
    "no answer": (BRIDGE.replace("^ False\n", ""), 1, "no '^' line"),
    "no question": (BRIDGE[BRIDGE.index("^") :], 1, "comes before any '#Q' line"),
    "empty question": (BRIDGE.replace("This made-up bridge is made of glass.", ""), 1, "is empty"),
    "one option": (BRIDGE.replace("A True\nB", "A"), 1, "has 1 options"),
    "gap": (FERRY.replace("B The Ada", "E The Ada"), 4, "'B TEXT' was expected"),
    "two answers": (BRIDGE.replace("A True", "^ True\nA True"), 3, "'A TEXT' was expected"),
    "stray line": (FERRY + "\nmore of it\n", 8, "is no option"),
    "empty option": (BRIDGE.replace("A True", "A"), 3, "'A TEXT' was expected"),
    "twice": (FERRY.replace("C The Cleo", "C The Ben"), 5, "'The Ben' stands twice"),
    "binary": (bytes(range(128, 256)) * 40, 1, "comes before any '#Q' line"),
    "utf-16": (BRIDGE.encode("utf-16"), 1, "comes before any '#Q' line"),
}


@pytest.mark.parametrize(("content", "line", "message"), BAD.values(), ids=BAD)
def test_a_bad_row_names_its_line(
    file: Path, content: str | bytes, line: int, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        load(file, content)
    assert caught.value.where == f"{file}:{line}"
    assert message in caught.value.message


def test_bad_rows_are_skipped_and_counted(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = BRIDGE.replace("^ False", "^ Maybe")
    with caplog.at_level(logging.WARNING):
        (kept,) = load(file, bad + FERRY + bad, on_bad_row="skip")
    assert kept.group == "4 options"
    assert f"bad rows skipped: 2 of 3, the first at {file}:2: the answer 'Maybe'" in caplog.text


@pytest.mark.parametrize("content", ["", "\n\n", "no question\n"])
def test_a_file_without_questions_is_refused(file: Path, content: str) -> None:
    with pytest.raises(DataError, match="there is no row to use") as caught:
        load(file, content, on_bad_row="skip")
    assert caught.value.where == str(file)


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="No such file") as caught:
        list(HistoryTrivia().load(TriviaOptions(path=tmp_path / name)))
    assert caught.value.where == str(tmp_path / ("history.txt" if name == "." else name))


def test_enters_by_entry_point() -> None:
    offer = Host().domains["history_trivia"]
    assert (offer.source.distribution, offer.source.plugin) == ("kdsearch-trivia", "trivia")


class TestHistoryTrivia(DomainContract):
    domain = HistoryTrivia()

    def options(self, folder: Path) -> TriviaOptions:
        (folder / "history.txt").write_text(FERRY + BRIDGE + VERSE, encoding="utf8")
        return TriviaOptions(path=folder)
