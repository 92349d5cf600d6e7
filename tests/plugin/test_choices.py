from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import DataError
from kdsearch.plugin import Example, Prediction
from kdsearch.plugin.choices import (
    answer_place,
    choice_example,
    choice_prompt,
    choice_scores,
    limited,
    macro_f1,
)
from kdsearch.plugin.reading import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

FERRY = Example(id="f", question="Which ferry?", answer=1, choices=("Ada", "Ben", "Cleo"))


@pytest.mark.parametrize(
    ("answer_format", "listed", "names"),
    [
        ("letter", "A. Ada\nB. Ben\nC. Cleo", "ABC"),
        ("integer", "1. Ada\n2. Ben\n3. Cleo", "123"),
        ("word", "Ada\nBen\nCleo", FERRY.choices),
    ],
)
def test_options_are_named(answer_format: str, listed: str, names: Sequence[str]) -> None:
    prompt = choice_prompt(FERRY, answer_format, "Ferry:")
    assert prompt.text == f"Which ferry?\n{listed}\nFerry:"
    assert (prompt.target, prompt.choices) == (names[1], tuple(names))


@given(
    st.lists(st.text(max_size=3), min_size=2, max_size=6), st.data(), st.integers(2, 7), st.text()
)
def test_limited_keeps_the_answer(
    choices: list[str], data: st.DataObject, limit: int, salt: str
) -> None:
    answer = data.draw(st.integers(0, len(choices) - 1))
    kept, place = limited(choices, answer, limit, salt)
    assert kept[place] == choices[answer]
    assert not Counter(kept) - Counter(choices)
    assert len(kept) <= limit or kept == tuple(choices)


@pytest.mark.parametrize("limit", [2, 3])
@pytest.mark.parametrize("gold", [(0, 0, 0, 1), (0, 1, 2, 3), (3,)])
def test_limited_does_not_tell_the_answer_by_its_place(limit: int, gold: tuple[int, ...]) -> None:
    places = Counter(
        limited("abcd", gold[number % len(gold)], limit, str(number))[1] for number in range(600)
    )
    assert all(abs(places[place] - 600 / limit) < 50 for place in range(limit))


def test_limited_keeps_every_other_option_as_often() -> None:
    kept = [limited("abcd", 0, 3, str(number))[0] for number in range(600)]
    others = Counter("".join(sorted(options)) for options in kept)
    assert len(others) == 3
    assert min(others.values()) > 150


@pytest.mark.parametrize("limit", [None, 2])
def test_an_example_is_known_by_question_and_options_in_any_order(limit: int | None) -> None:
    one = choice_example("Which?", ("Ada", "Ben", "Cleo"), 1, max_choices=limit)
    other = choice_example("WHICH? ", ("Cleo", "ben", "Ada"), 1, split="dev")
    assert (one.id, other.split) == (other.id, "dev")
    assert one.choices[int(one.answer)] == "Ben"
    assert choice_example("Which?", ("Ada", "Ben", "Dan"), 1).id != one.id
    assert choice_example("Which one?", FERRY.choices, 1, known_by=("Which?",)).id == one.id


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
