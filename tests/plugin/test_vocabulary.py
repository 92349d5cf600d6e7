"""Trimmed tokenizers: the same segments on their texts, and any other text still readable."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from kdsearch.errors import ModelError
from kdsearch.plugin.vocabulary import TOKENIZER, merge_path, read_teacher_ids, trim

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = [
    "The company said its profit rose to 12.3 million euros in the third quarter.",
    "Operating loss was 4.5 million, compared with a profit a year earlier.",
    "Shares of the company closed higher; the whole sector gained.",
    "Die Firma meldete größere Verluste, naïve Anleger überrascht.",
] * 3
WORDS = sorted({word for text in CORPUS for word in text.split()})


@lru_cache
def whole(kind: str) -> str:
    """Return a trained tokenizer's JSON."""
    special = ["<pad>", "</s>", "<unk>"]
    if kind == "BPE":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    tokenizer.add_special_tokens(["<late>"])
    return str(tokenizer.to_str())


def saved(kind: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(whole(kind), encoding="utf8")
    settings = {"eos_token": "</s>", "pad_token": "<pad>", "tokenizer_class": "Whatever"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    return folder


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
@given(texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join), min_size=1))
def test_its_own_texts_have_the_same_segments(
    kind: str, texts: list[str], tmp_path_factory: Any
) -> None:
    trimmed = trim(saved(kind, tmp_path_factory.getbasetemp() / kind), texts)
    teacher = Tokenizer.from_str(whole(kind))
    student = Tokenizer.from_str(json.dumps(trimmed.tokenizer))
    assert student.get_vocab_size() == len(trimmed.teacher_ids)
    for text in texts:
        ids = student.encode(text).ids
        assert [trimmed.teacher_ids[each] for each in ids] == teacher.encode(text).ids


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
def test_any_other_text_can_still_be_read(kind: str, tmp_path: Path) -> None:
    trimmed = trim(saved(kind, tmp_path), ["profit rose"])
    teacher = Tokenizer.from_str(whole(kind))
    student = Tokenizer.from_str(json.dumps(trimmed.tokenizer))
    assert student.get_vocab_size() < 0.7 * teacher.get_vocab_size()
    texts = [*CORPUS, *(["日本 ☃\n"] if kind == "BPE" else [])]
    for text in texts:
        assert student.decode(student.encode(text).ids) == text


def test_the_folder_loads_as_the_tokenizer_of_a_model(tmp_path: Path) -> None:
    from kdsearch.distill.loading import load_tokenizer

    folder = saved("BPE", tmp_path / "teacher")
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf8")
    trimmed = trim(folder, ["profit rose"])
    trimmed.write(folder, tmp_path / "made")
    loaded: Any = load_tokenizer(tmp_path / "made" / TOKENIZER)
    assert read_teacher_ids(tmp_path / "made") == trimmed.teacher_ids
    assert len(loaded) == len(trimmed.teacher_ids)
    assert loaded.convert_ids_to_tokens(loaded("profit")["input_ids"])[-1] == "</s>"
    assert (loaded.pad_token, loaded.chat_template) == ("<pad>", "{{ messages }}")


def test_the_way_to_a_token_holds_what_is_merged() -> None:
    ranks = {("a", "b"): 0, ("ab", "c"): 1, ("b", "c"): 2}
    assert merge_path("abc", ranks) == {"a", "b", "c", "ab", "abc"}
    assert merge_path("cb", ranks) == {"c", "b"}


def test_special_tokens_stay_though_no_text_uses_them(tmp_path: Path) -> None:
    trimmed = trim(saved("Unigram", tmp_path), ["profit"])
    tokenizer = Tokenizer.from_str(json.dumps(trimmed.tokenizer))
    assert {"<pad>", "</s>", "<unk>", "<late>"} <= tokenizer.get_vocab().keys()
    assert tokenizer.encode("☃").tokens[-2:] == ["☃", "</s>"]
    assert tokenizer.encode("☃").ids[-2] == tokenizer.token_to_id("<unk>")


def test_what_cannot_be_trimmed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"trims a tokenizer\.json, and there is none"):
        trim(tmp_path, ["a"])
    words = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    words.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="kinds BPE and Unigram, not WordLevel"):
        trim(tmp_path, ["a"])
