from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import DataError
from kdsearch.plugin import Example, Prediction
from kdsearch.plugin.choices import (
    answer_place,
    choice_prompt,
    choice_scores,
    limited,
    macro_f1,
    option_names,
)
from kdsearch.plugin.reading import Row

FERRY = Example(id="f", question="Which ferry?", answer=1, choices=("Ada", "Ben", "Cleo"))


@pytest.mark.parametrize(
    ("answer_format", "listed", "target"),
    [("letter", "A. Ada\nB. Ben\nC. Cleo", "B"), ("integer", "1. Ada\n2. Ben\n3. Cleo", "2")],
)
def test_options_are_named_by_letter_or_integer(
    answer_format: str, listed: str, target: str
) -> None:
    prompt = choice_prompt(FERRY, answer_format, "Ferry:")
    assert prompt.text == f"Which ferry?\n{listed}\nFerry:"
    assert (prompt.target, prompt.choices) == (target, option_names(3, answer_format))


@given(
    st.lists(st.text(max_size=3), min_size=2, max_size=6), st.data(), st.integers(2, 7), st.text()
)
def test_limited_keeps_the_answer_and_the_order(
    choices: list[str], data: st.DataObject, limit: int, salt: str
) -> None:
    answer = data.draw(st.integers(0, len(choices) - 1))
    kept, place = limited(choices, answer, limit, salt)
    rest = iter(choices)
    assert all(choice in rest for choice in kept)
    assert kept[place] == choices[answer]
    assert len(kept) <= limit or len(kept) == len(choices)


def test_limited_does_not_tell_the_answer_by_its_place() -> None:
    places = Counter(limited("abcd", number % 4, 2, str(number))[1] for number in range(400))
    assert 160 < places[0] < 240


@pytest.mark.parametrize("said", ["", "E", "a", "AB", "1"])
def test_an_answer_outside_is_named(said: str) -> None:
    assert answer_place(Row("x:1", {}), " C ", 4) == 2
    with pytest.raises(DataError, match=r"x:1: unknown answer .*: allowed: A, B, C, D$"):
        answer_place(Row("x:1", {}), said, 4)


@pytest.mark.parametrize(
    ("given_places", "accuracy", "f1"),
    [
        ((0, 1, 2), [1.0, 1.0, 1.0], 1.0),
        ((2, 2, 2), [0.0, 0.0, 1.0], (0 + 0 + 2 / 4) / 3),
        ((None, 1, 2), [0.0, 1.0, 1.0], (0 + 1 + 1) / 3),
    ],
)
def test_scores_accuracy_and_macro_f1(
    given_places: tuple[int | None, ...], accuracy: list[float], f1: float
) -> None:
    golds = [Example(id=str(n), question="", answer=n, choices=FERRY.choices) for n in range(3)]
    predictions = [Prediction("", "", choice=place) for place in given_places]
    assert choice_scores(predictions, golds).per_item == {"accuracy": accuracy}
    assert macro_f1(predictions, golds, 3) == pytest.approx(f1)
