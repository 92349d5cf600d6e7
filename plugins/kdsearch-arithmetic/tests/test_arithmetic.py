from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from kdsearch_arithmetic import Arithmetic, ArithmeticOptions
from kdsearch_arithmetic.problems import LARGEST, WORDINGS
from kdsearch_arithmetic.vocabulary import FOLDER, build, write
from transformers import AutoTokenizer

from kdsearch.plugin import Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract

if TYPE_CHECKING:
    from pathlib import Path

DOMAIN, OPTIONS = Arithmetic(), ArithmeticOptions()
EXAMPLES = list(DOMAIN.load(OPTIONS))
SIGNS = {"addition": "+", "subtraction": "-", "multiplication": "*", "division": "//"}


def test_the_host_finds_it() -> None:
    assert Host().domain("arithmetic").version == "1"


def test_near_duplicates_are_intended() -> None:
    assert DOMAIN.generated


def test_every_triple_stands_once() -> None:
    assert len({example.id for example in EXAMPLES}) == len(EXAMPLES) == 6624
    counts = Counter(example.group for example in EXAMPLES)
    assert counts == {"addition": 3200, "subtraction": 2400, "multiplication": 512, "division": 512}


def test_at_least_eight_wordings_an_operation() -> None:
    assert all(len(set(texts)) >= 8 for texts in WORDINGS.values())


@pytest.mark.parametrize("example", EXAMPLES[::97], ids=lambda example: example.id)
def test_answers_are_right_and_operands_are_told(example: object) -> None:
    operation, a, b, _ = example.id.split("-")  # type: ignore[attr-defined]  # an Example
    results = {
        "+": int(a) + int(b),
        "-": int(a) - int(b),
        "*": int(a) * int(b),
        "//": int(a) // int(b),
    }
    assert int(example.answer) == results[SIGNS[operation]]  # type: ignore[attr-defined]  # an Example
    assert sorted(re.findall(r"\d+", example.question)) == sorted([a, b])  # type: ignore[attr-defined]  # an Example


def test_a_seed_changes_the_telling_and_not_the_triples() -> None:
    other = list(DOMAIN.load(ArithmeticOptions(seed=1)))
    assert [example.id for example in other] == [example.id for example in EXAMPLES]
    assert [example.question for example in other] != [example.question for example in EXAMPLES]
    assert list(DOMAIN.load(OPTIONS)) == EXAMPLES


def test_the_tokenizer_knows_every_word() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    texts = [text for example in EXAMPLES for text in (example.question, str(example.answer))]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert not any(tokenizer.unk_token_id in row for row in ids)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert max(map(len, ids)) <= 22
    assert all(
        len(tokenizer(str(n), add_special_tokens=False)["input_ids"]) == 1
        for n in range(LARGEST + 1)
    )


def test_the_stored_tokenizer_is_the_built_one(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert json.loads((FOLDER / name).read_text()) == json.loads((tmp_path / name).read_text())
    assert build().get_vocab_size() == len(AutoTokenizer.from_pretrained(FOLDER))


def test_only_the_right_number_scores() -> None:
    gold = EXAMPLES[:3]
    given = [Prediction(gold[0].id, str(gold[0].answer)), Prediction("x", "0"), Prediction("y", "")]
    assert DOMAIN.score(given, gold).per_item == {"accuracy": [1.0, 0.0, 0.0]}


@pytest.mark.parametrize("wrong", [{"wordings": 9}, {"wordings": 0}, {"seed": -1}, {"sed": 1}])
def test_wrong_options_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ArithmeticOptions(**wrong)


class TestArithmetic(DomainContract):
    domain = DOMAIN

    def options(self, folder: Path) -> ArithmeticOptions:
        return ArithmeticOptions(wordings=1)
