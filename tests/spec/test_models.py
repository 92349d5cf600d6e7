from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.spec.loading import load_spec
from kdsearch.spec.space import draw

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host


def test_a_resolved_stage_has_every_value_fixed(toy_spec: Path, toy_host: Host) -> None:
    stage = load_spec(toy_spec, toy_host).stage
    drawn = draw(stage.spaces, 0, seed=0)
    settings = stage.resolve(drawn)
    assert settings.training.learning_rate == drawn["train.learning_rate"]
    assert settings.training.batch_size == 16
    assert settings.losses["soft_labels"] == {
        "weight": drawn["losses.soft_labels.weight"],
        "temperature": drawn["losses.soft_labels.temperature"],
    }


def test_a_stage_is_not_resolved_by_half(toy_spec: Path, toy_host: Host) -> None:
    with pytest.raises(KeyError):
        load_spec(toy_spec, toy_host).stage.resolve({"train.learning_rate": 1e-3})


def test_the_baseline_trains_alike_without_teacher(toy_spec: Path, toy_host: Host) -> None:
    stage = load_spec(toy_spec, toy_host, ["losses.answer_ce.weight=0.5"]).stage
    drawn = draw(stage.spaces, 0, seed=0)
    baseline = stage.baseline(drawn)
    assert baseline.losses == {"answer_ce": {"weight": 1.0}}
    assert baseline.training == stage.resolve(drawn).training
