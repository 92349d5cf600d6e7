from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.plugin.texts import plain, question_word, stable_id


@given(st.text(), st.text())
def test_ids_hang_on_plain_text_alone(one: str, other: str) -> None:
    assert (stable_id(one) == stable_id(other)) == (plain(one) == plain(other))
    assert stable_id(one, other) == stable_id(f" {one}\n", other)


@pytest.mark.parametrize(
    ("question", "word"), [("Who sank?", "who"), ("  WHICH ship?", "which"), ("Name it.", "other")]
)
def test_a_question_opens_with_its_word(question: str, word: str) -> None:
    assert question_word(question) == word
