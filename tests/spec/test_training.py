"""What the spec says of training: budgets, and values that do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import SpecError
from kdsearch.spec.loading import load_spec, write_spec

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.epochs=2"], r"train: give exactly one of .*, not max_steps and epochs"),
        (["train.tokens={choice: [10, 20]}"], r"not max_steps and tokens"),
        (["train.epochs=0"], r"train.epochs: should be greater than 0"),
        (["train.warmup=1.5"], r"train.warmup: a share of the steps below 1, or whole steps"),
        (["train.dropout={choice: [0.1, 1.0]}"], r"train.dropout.*should be less than 1"),
        (["train.balance=group", "train.group_by_length=true"], r"train: .* give one"),
        (["train.checkpoints.every=5"], r"unknown key 'every' in train.checkpoints"),
        (["train.checkpoints.steps=0"], r"train.checkpoints.steps: should be greater than 0"),
        (["train.early_stopping={patience: 2}"], r"train: early_stopping looks at .* evaluations"),
        (["train.early_stopping={on: dev}", "train.evaluations=4"], r"unknown value 'dev'.*metric"),
        (
            ["train.validation=1.5"],
            r"train.validation: a share of the examples below 1, or a count",
        ),
        (["teachers.0.fine_tune.epochs=1"], r"fine_tune: give exactly one"),
    ],
)
def test_what_does_not_go_together_is_refused(
    toy_spec: Path, toy_host: Host, settings: list[str], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        load_spec(toy_spec, toy_host, settings)


def test_a_budget_may_be_searched_and_written(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    settings = ["train.max_steps=null", "train.epochs={choice: [1, 2.5]}", "train.dropout=0.1"]
    spec = load_spec(toy_spec, toy_host, settings)
    trained = spec.stage.resolve(
        {"train.learning_rate": 1e-3, "train.epochs": 2.5} | DRAWN
    ).training
    assert (trained.epochs, trained.max_steps, trained.dropout) == (2.5, None, 0.1)
    file = tmp_path / "spec.yaml"
    file.write_text(write_spec(spec))
    assert load_spec(file, toy_host) == spec


def test_early_stopping_on_losses_holds_examples_out(toy_spec: Path, toy_host: Host) -> None:
    def held(on: str, *settings: str) -> float | None:
        stopping = [f"train.early_stopping={{on: {on}}}", "train.evaluations=4", *settings]
        spec = load_spec(toy_spec, toy_host, stopping)
        return spec.stage.resolve({"train.learning_rate": 1e-3} | DRAWN).training.validation

    assert [held("metric"), held("loss"), held("both", "train.validation=40")] == [None, 0.05, 40]


DRAWN = {"losses.soft_labels.weight": 1.0, "losses.soft_labels.temperature": 1}
