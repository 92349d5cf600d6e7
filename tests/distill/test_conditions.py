"""Dropout and recomputed activations hold while a student trains, and no longer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdsearch.distill.conditions import training_conditions
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
