"""Dropout and recomputed activations hold while a student trains, and no longer."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from kdsearch.distill.conditions import group_of_one, training_conditions
from kdsearch.errors import SpecError
from kdsearch.spec.training import Training


@pytest.mark.parametrize("kind", ["tiny", "tiny_causal"])
def test_a_student_drops_out_only_inside(kind: str, request: pytest.FixtureRequest) -> None:
    model: Any = request.getfixturevalue(kind)(16).model.train()
    before = model.config.to_dict()
    ids = torch.arange(2, 12)[None]

    def logits() -> torch.Tensor:
        inputs = {"input_ids": ids, "labels": ids}
        return torch.as_tensor(model(**inputs, use_cache=False).logits).detach()

    usual = logits()
    with training_conditions(model, Training(dropout=0.5)):
        assert not torch.equal(logits(), usual)
        assert model.config.to_dict() != before
    assert torch.equal(logits(), usual)
    assert model.config.to_dict() == before


def test_a_group_of_one_lasts_as_long_as_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "node-7")  # set by a launcher
    with group_of_one():
        *group, port = [os.environ.get(name) for name in names]
        assert group == ["0", "0", "1", "node-7"]
        assert int(port or 0) > 0
    assert [os.environ.get(name) for name in names] == [None, None, None, "node-7", None]


def test_activations_are_recomputed_only_inside(tiny: Any) -> None:
    model = tiny(8).model
    with training_conditions(model, Training(gradient_checkpointing=True)):
        assert model.is_activation_checkpointing
    assert not model.is_activation_checkpointing


def test_a_model_without_dropout_is_named() -> None:
    model = torch.nn.Linear(1, 1)
    model.config = type("Config", (), {"model_type": "linear"})()
    conditions = training_conditions(model, Training(dropout=0.1))
    with pytest.raises(SpecError, match="a linear model has no dropout"):
        conditions.__enter__()
