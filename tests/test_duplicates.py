from __future__ import annotations

import pytest

from kdsearch.duplicates import question_key
from kdsearch.plugin import Example


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Who won?", "who  won", True),
        ("Governor\u2019s \u201crebuke\u201d", "Governor's 'rebuke'", True),
        ("A well-known_word.", "a well known word", True),
        ("What is 5 - 3?", "What is 5 + 3?", False),
        ("What is 5 - 3?", "What is 5 * 3?", False),
        ("The root of -5", "The root of 5", False),
        ("Is 0.5 more?", "Is 05 more?", False),
        ("5% of $9", "5 of 9", False),
        ("???", "???", False),
    ],
)
def test_what_asks_the_same(one: str, other: str, same: bool) -> None:
    keys = [question_key(Example(text, text, "x")) for text in (one, other)]
    assert (keys[0] is not None and keys[0] == keys[1]) is same


def test_options_count_in_any_order_and_the_answer_does_not() -> None:
    one = Example("1", "Which?", 0, choices=("red", "Blue"))
    assert question_key(one) == question_key(Example("2", "which", 0, choices=("blue!", "red")))
    assert question_key(one) != question_key(Example("3", "Which?", 0, choices=("red", "green")))
