"""Rows: ends of sequence, length limits, padding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.distill.data import encode, joined, row_key
from kdsearch.errors import DataError
from kdsearch.plugin import Example, Prediction, Prompt
from kdsearch.spec.models import PromptFormat


def test_source_and_target_end_with_end_of_sequence(rows: Any, tokenizer: Any) -> None:
    ends = {ids[-1] for ids in [*rows.sources, *rows.targets]}
    assert ends == {tokenizer.eos_token_id}


def test_a_long_prompt_is_refused(sums: Any, tokenizer: Any) -> None:
    example = Example("long", "1 + " * 20, "1")
    with pytest.raises(DataError, match=r"'long' has 81 tokens; prompt.max_tokens is 30"):
        encode([example], sums, None, tokenizer, PromptFormat(max_tokens=30))


def test_a_long_question_is_cut_where_asked(sums: Any, tokenizer: Any) -> None:
    example = Example("long", "one two three four", "1")
    limit = PromptFormat(max_tokens=10, truncate="question")
    rows = encode([example], sums, None, tokenizer, limit)
    assert tokenizer.decode(rows.sources[0][:-1]) == "one two"
    assert rows.cut == 1


LONG = st.text("abc./-é", min_size=21, max_size=40) | st.text("好的问题", min_size=1, max_size=12)


@given(
    words=st.lists(LONG | st.text("abé", min_size=1, max_size=6), min_size=1, max_size=6),
    most=st.integers(5, 60),
    causal=st.booleans(),
)
def test_a_cut_keeps_all_that_fits(
    words: list[str], most: int, causal: bool, sums: Any, tokenizer: Any
) -> None:
    question = " ".join(words)
    limit = PromptFormat(max_tokens=most, truncate="question")
    asked = [Example("x", question, "1")]
    end = 0 if causal else 1
    whole = len(question.encode()) + end
    try:
        rows = encode(asked, sums, None, tokenizer, limit, causal=causal)
    except DataError:
        assert len(words[0].encode()) + end > most
        assert len(words[0]) < 7 or len(words[0][0].encode()) + end > most
        return
    ids = list(rows.sources[0])
    kept = tokenizer.decode(ids[: len(ids) - end])
    assert question.startswith(kept)
    assert rows.cut == (whole > most)
    assert len(ids) <= most
    if rows.cut:
        rest = question[len(kept) :]
        following = rest.lstrip(" ").split(" ")[0]
        within = not rest.startswith(" ")
        long = within or len(following) > 6 or following[0] > "é"
        more = 1 + (not within) if long else len(following) + 1
        assert len(ids) + len(rest[:more].encode()) > most


def test_a_key_tells_source_from_target() -> None:
    assert row_key([1, 2], [3]) != row_key([1], [2, 3])


def test_a_prompt_with_nothing_left_to_cut_is_refused(bigger: Any, tokenizer: Any) -> None:
    example = Example("wordy", "one two", 0, choices=("1", "2"))
    bigger = type("Wordy", (type(bigger),), {"format": lambda *_: Prompt("1", "x" * 40)})()
    limit = PromptFormat(max_tokens=10, truncate="question")
    with pytest.raises(DataError) as caught:
        encode([example], bigger, None, tokenizer, limit)
    assert str(caught.value) == (
        "domain bigger: the prompt of 'wordy' has 41 tokens and nothing left to cut; "
        "prompt.max_tokens is 10 (raise prompt.max_tokens)"
    )


def test_options_that_are_the_same_tokens_are_refused(bigger: Any, tokenizer: Any) -> None:
    example = Example("same", "1 or 1?", 0, choices=("1", "1"))
    with pytest.raises(DataError) as caught:
        encode([example], bigger, None, tokenizer, PromptFormat())
    assert str(caught.value) == (
        "domain bigger: two options of 'same' are the same tokens: ['1', '1'] "
        "(answer by letter or integer)"
    )


def test_an_example_with_a_line_is_named_by_it(bigger: Any, sums: Any, tokenizer: Any) -> None:
    same = Example("9f8e", "1 or 1?", 0, choices=("1", "1"), origin="a.csv:7")
    with pytest.raises(DataError, match=r"a\.csv:7: two options are the same tokens"):
        encode([same], bigger, None, tokenizer, PromptFormat())
    long = Example("9f8e", "1 + " * 20, "1", origin="a.csv:7")
    with pytest.raises(DataError, match=r"a\.csv:7: the prompt has 81 tokens; "):
        encode([long], sums, None, tokenizer, PromptFormat(max_tokens=30))


def test_what_a_teacher_answered_is_learned_in_the_prompts_words(
    bigger: Any, sums: Any, tokenizer: Any
) -> None:
    named = Example("x", "3 or 10?", 1, choices=("3", "10"))
    taught = {"x": Prediction("x", "three", 0), "free": Prediction("free", "19")}
    rows = encode([named], bigger, None, tokenizer, PromptFormat(), taught=taught)
    free = Example("free", "9+9=", "18")
    both = joined([rows, encode([free], sums, None, tokenizer, PromptFormat(), taught=taught)])
    assert [tokenizer.decode(ids[:-1]) for ids in both.targets] == ["3", "19"]
    assert [example.id for example in both.examples] == ["x", "free"]
