"""Rows: ends of sequence, length limits, padding."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.distill.data import encode, row_key
from kdsearch.errors import DataError
from kdsearch.plugin import Example
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


def test_a_key_tells_source_from_target() -> None:
    assert row_key([1, 2], [3]) != row_key([1], [2, 3])
