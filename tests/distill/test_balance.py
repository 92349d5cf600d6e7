"""Terms scaled to the size of the answer's cross-entropy, and weights that change in training."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.data import Collator
from kdsearch.distill.losses import AnswerCe
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.trainer import DistillationTrainer
from kdsearch.distill.training import train
from kdsearch.plugin import LossInputs, Shapes
from kdsearch.plugin.builtin import AnswerCeConfig
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from pathlib import Path


class Squares(torch.nn.Module):
    """A term a thousand times as large as another one would be."""

    def forward(self, inputs: LossInputs) -> torch.Tensor:
        total = torch.square(inputs.student_logits[inputs.target_mask]).sum()
        return 1000.0 * total / inputs.window_counts["target_tokens"]


def objective(tiny: Any, weight: Any = 1.0, *, balanced: bool = True) -> DistillationModel:
    model, facts = tiny(8)
    answer = AnswerCe(AnswerCeConfig(), Shapes(facts, (facts,)))
    terms = {"answer_ce": Term(answer, 1.0), "squares": Term(Squares(), weight, balanced)}
    return DistillationModel(model, terms)


def fit(model: DistillationModel, rows: Any, folder: Path, **budget: Any) -> list[dict[str, float]]:
    told: list[dict[str, float]] = []
    training = Training(learning_rate=1e-2, **{"batch_size": 12, "max_steps": 4, **budget})
    train(
        model,
        rows.table(),
        Collator(0),
        training,
        steps=training.max_steps or 1,
        folder=folder,
        seed=0,
        report=lambda progress: told.append(progress["losses"]),
        report_steps=range(1, 100),
    )
    return told


def test_a_balanced_term_counts_as_much_as_the_answer(tiny: Any, rows: Any, tmp_path: Path) -> None:
    told = fit(objective(tiny), rows, tmp_path)
    first = told[0]
    assert first["loss_squares"] > 10 * first["loss_answer_ce"]
    assert first["loss"] == pytest.approx(2 * first["loss_answer_ce"], rel=1e-4)
    for before, now in itertools.pairwise(told):
        factor = before["loss_answer_ce"] / before["loss_squares"]
        total = now["loss_answer_ce"] + factor * now["loss_squares"]
        assert now["loss"] == pytest.approx(total, rel=1e-4)


def test_balance_does_not_change_with_the_split_of_a_window(
    tiny: Any, rows: Any, tmp_path: Path
) -> None:
    whole, parts = objective(tiny), objective(tiny)
    one = fit(whole, rows, tmp_path)
    many = fit(parts, rows, tmp_path, batch_size=3, gradient_accumulation=4)
    for a, b in zip(one, many, strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    pairs = zip(whole.parameters(), parts.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_a_term_without_loss_is_left_as_it_is(tiny: Any) -> None:
    balance = objective(tiny).balance
    balance.add({"answer_ce": torch.tensor(2.0), "squares": torch.tensor(0.0)})
    assert balance.factors(1)["squares"] == 1.0


def test_a_checkpoint_keeps_the_factors(tiny: Any, rows: Any, tmp_path: Path) -> None:
    model, other = objective(tiny), objective(tiny)
    fit(model, rows, tmp_path)
    DistillationTrainer(model=model)._save(str(tmp_path))
    DistillationTrainer(model=other)._load_from_checkpoint(str(tmp_path))
    assert not other.balance.unknown
    assert other.balance.factors(4) == model.balance.factors(4)


def test_a_scheduled_weight_follows_the_steps(tiny: Any, rows: Any, tmp_path: Path) -> None:
    weight = {"from": 1.0, "to": 0.0, "over": 0.5, "shape": "linear"}
    told = fit(objective(tiny, weight, balanced=False), rows, tmp_path)
    for losses, expected in zip(told, [1.0, 0.5, 0.0, 0.0], strict=True):
        total = losses["loss_answer_ce"] + expected * losses["loss_squares"]
        assert losses["loss"] == pytest.approx(total, rel=1e-5)
