"""Answers: the same whatever the batches, choices scored as the model would say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill import passes
from kdsearch.distill.data import encode
from kdsearch.distill.evaluate import (
    answer,
    predict,
    read_answers,
    read_predictions,
    write_predictions,
)
from kdsearch.plugin import Prediction
from kdsearch.spec.models import PromptFormat
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("batch", [1, 7, 128])
@pytest.mark.parametrize("name", ["sums", "bigger"])
def test_batches_do_not_show_in_answers(
    name: str, batch: int, request: Any, tiny: Any, tokenizer: Any, monkeypatch: Any
) -> None:
    domain, model = request.getfixturevalue(name), tiny(16).model.eval()
    rows = encode(domain.load(None)[:40], domain, None, tokenizer, PromptFormat())
    usual = predict(model, tokenizer, rows, domain)
    monkeypatch.setattr(passes, "LARGEST_BATCH", batch)
    other = predict(model, tokenizer, rows, domain)
    assert [given.text for given in usual] == [given.text for given in other]
    assert [given.id for given in usual] == [example.id for example in rows.examples]


def test_long_prompts_come_in_small_batches(monkeypatch: Any) -> None:
    monkeypatch.setattr(passes, "MOST_TOKENS", 12)
    monkeypatch.setattr(passes, "LARGEST_BATCH", 3)
    found = list(passes.batches([1, 1, 20, 1, 6, 1, 5], lambda length: length))
    assert found == [[20], [6, 5], [1, 1, 1], [1]]


def test_answers_are_given_without_dropout(tiny: Any, bigger: Any, tokenizer: Any) -> None:
    model = tiny(16).model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    rows = encode(bigger.load(None)[:20], bigger, None, tokenizer, PromptFormat())
    told: list[tuple[int, int]] = []

    given = answer(
        model, tokenizer, rows, bigger, "accuracy", lambda *x: told.append(x)
    ).predictions
    assert told[-1] == (len(rows.sources), len(rows.sources))
    assert model.training
    assert given == predict(model.eval(), tokenizer, rows, bigger)


def test_answers_survive_their_file(
    tiny: Any, sums: Any, rows: Any, tokenizer: Any, tmp_path: Any
) -> None:
    model = tiny(16).model.train()
    answers = answer(model, tokenizer, rows, sums, "accuracy")
    answers.write(Folder(tmp_path), tmp_path / "dev.jsonl")
    assert read_answers(tmp_path / "dev.jsonl").scores == list(answers.scores)
    assert model.training


def test_predictions_survive_their_file(tmp_path: Path) -> None:
    given = [Prediction("a", "x\u2028y"), Prediction("b", "no", 1, (-0.5, -1.25))]
    write_predictions(Folder(tmp_path), tmp_path / "teacher" / "train.jsonl", given)
    assert read_predictions(tmp_path / "teacher" / "train.jsonl") == given
