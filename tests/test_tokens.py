"""Tokens of a tokenizer, as its file and as the tokenizer itself has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models

from kdsearch.distill.students import byte_tokenizer
from kdsearch.tokens import byte_tokens, known_tokens

if TYPE_CHECKING:
    from pathlib import Path


def test_bytes_are_known_without_the_tokenizer(tmp_path: Path) -> None:
    made = byte_tokenizer()
    made.save_pretrained(tmp_path)
    assert byte_tokens() == made.get_vocab() == known_tokens(tmp_path)


def test_a_unigram_tokenizer(tmp_path: Path) -> None:
    made = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("ab", -2.0)], unk_id=0))
    made.add_tokens(["<x>"])
    made.save(str(tmp_path / "tokenizer.json"))
    assert known_tokens(tmp_path / "tokenizer.json") == made.get_vocab()


def test_a_folder_without_one_says_nothing(tmp_path: Path) -> None:
    assert known_tokens(tmp_path) is None
