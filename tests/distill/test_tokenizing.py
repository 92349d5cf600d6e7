"""Tokenizers read without transformers give the ids that transformers gives."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.students import byte_tokenizer
from kdsearch.distill.tokenizing import FileTokenizer, light_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.lists(st.sampled_from(["</s>", "<pad>", "<unk>", " ", "é", "好"]) | st.text(max_size=5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(made)
    return made


@cache
def transformers(folder: Path) -> Any:
    return load_tokenizer(folder)


@given(parts=TEXTS, special=st.booleans(), stored=st.booleans())
def test_the_ids_are_those_of_transformers(
    parts: list[str], special: bool, stored: bool, folder: Path
) -> None:
    light, whole = light_tokenizer(folder if stored else None), transformers(folder)
    assert isinstance(light, FileTokenizer)
    text = "".join(parts)
    ids = light(text, add_special_tokens=special)["input_ids"]
    assert ids == whole(text, add_special_tokens=special)["input_ids"]
    assert light.eos_token_id == whole.eos_token_id


@pytest.mark.parametrize(
    "settings",
    [
        {"add_bos_token": True},
        {"tokenizer_class": "T5Tokenizer"},
        {"chat_template": "{{ messages }}"},
        {"eos_token": "a"},
    ],
)
def test_what_transformers_would_read_otherwise_is_left_to_it(
    settings: dict[str, object], folder: Path, tmp_path: Path
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "tokenizer_config.json"
    known = json.loads(file.read_text())
    assert light_tokenizer(tmp_path) is not None
    file.write_text(json.dumps(known | settings))
    assert light_tokenizer(tmp_path) is None


def test_what_is_no_tokenizer_is_left_to_transformers(folder: Path, tmp_path: Path) -> None:
    assert light_tokenizer(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{")
    assert light_tokenizer(tmp_path) is None
