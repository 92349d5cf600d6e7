from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.plugin import Example, Prediction
from kdsearch.plugin.answers import (
    exact_match,
    last_number,
    normalized,
    number_scores,
    text_scores,
    token_f1,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  The  Sea-Wolf!", "seawolf"),
        ("an apple, a day", "apple day"),
        ("Theatre", "theatre"),
        ("the", ""),
        ("Café “A”", "café “ ”"),
    ],
)
def test_normalises_as_squad_does(text: str, expected: str) -> None:
    assert normalized(text) == expected


@pytest.mark.parametrize(
    ("given_text", "golds", "exact", "graded"),
    [
        ("the Ada", ["Ada"], 1.0, 1.0),
        ("Ada", ["Ben", "ada."], 1.0, 1.0),
        ("ferry Ada", ["the Ada of Ulm"], 0.0, 2 / 5),
        ("Ada Ada", ["Ada"], 0.0, 2 / 3),
        ("", ["Ada"], 0.0, 0.0),
        ("a", ["the"], 1.0, 1.0),
    ],
)
def test_scores_the_nearest_gold_answer(
    given_text: str, golds: list[str], exact: float, graded: float
) -> None:
    assert exact_match(given_text, golds) == exact
    assert token_f1(given_text, golds) == pytest.approx(graded)


@given(st.text(), st.text())
def test_f1_is_symmetric_and_at_least_the_exact_match(one: str, other: str) -> None:
    assert exact_match(one, [other]) <= token_f1(one, [other]) <= 1
    assert token_f1(one, [other]) == token_f1(other, [one])


def test_aliases_count() -> None:
    gold = Example(id="x", question="", answer="Ada", aliases=("Lovelace",))
    scores = text_scores([Prediction("x", "lovelace"), Prediction("x", "Ada L")], [gold, gold])
    assert scores.per_item == {"exact_match": [1.0, 0.0], "token_f1": [1.0, pytest.approx(2 / 3)]}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 42", "42"),
        ("so 3 + 4 = 7.", "7"),
        ("$1,234.50", "1234.5"),
        ("-3", "-3"),
        ("from 5-3", "3"),
        (".5", "0.5"),
        ("1,2", "2"),
        ("7,000,000 of them", "7000000"),
        ("none", None),
    ],
)
def test_reads_the_last_number(text: str, number: str | None) -> None:
    assert last_number(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("said", "score"), [("18", 1.0), ("18.00", 1.0), ("$18", 1.0), ("19", 0.0), ("", 0.0)]
)
def test_numbers_are_compared_by_value(said: str, score: float) -> None:
    gold = Example(id="x", question="", answer="18")
    assert number_scores([Prediction("x", said)], [gold]).per_item == {"accuracy": [score]}
