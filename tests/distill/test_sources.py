"""Signals from a store and from the teacher beside the student train alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.data import Collator, Rows, encode
from kdsearch.distill.losses import AnswerCe, HiddenMse, SoftLabels
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.sources import CachedSignals, OnlineSignals
from kdsearch.distill.training import train
from kdsearch.plugin import LayerSignal, Shapes, Signal, SignalRequest
from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig
from kdsearch.spec.models import PromptFormat
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from pathlib import Path

LAST = (LayerSignal(Signal.HIDDEN_STATES, "decoder", 2),)


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def causal(request: Any) -> bool:
    return bool(request.param)


@pytest.fixture
def family(causal: bool, tiny: Any, tiny_causal: Any) -> Any:
    return tiny_causal if causal else tiny


@pytest.fixture
def read(causal: bool, sums: Any, tokenizer: Any) -> Rows:
    """Return rows of which some are equal but for their place."""
    return encode(sums.load(None)[:40], sums, None, tokenizer, PromptFormat(), causal=causal)


def losses(family: Any, rows: Rows, source: Any, folder: Path, steps: int = 50) -> list[Any]:
    """Train a small student and return its loss terms of each step."""
    torch.manual_seed(3)
    (model, facts), teacher = family(8), family(16).facts
    shapes = Shapes(facts, (teacher,))
    terms = {
        "answer_ce": Term(AnswerCe(AnswerCeConfig(), shapes), 1.0),
        "soft_labels": Term(SoftLabels(SoftLabelsConfig(temperature=2), shapes), 1.0),
        "hidden_mse": Term(HiddenMse(HiddenMseConfig(), shapes), 0.5),
    }
    told: list[Any] = []
    train(
        DistillationModel(model, terms, needs={Signal.HIDDEN_STATES}),
        rows.table(**source.columns(rows)),
        Collator(0, source, causal=not model.config.is_encoder_decoder),
        Training(learning_rate=1e-2, batch_size=8, max_steps=steps),
        steps=steps,
        folder=folder,
        seed=0,
        report=lambda progress: told.append(progress["losses"]),
        report_steps=range(1, steps + 1),
    )
    return told


@pytest.mark.parametrize("top_k", [None, 259, 16])
def test_stored_and_online_signals_give_the_same_losses(
    family: Any, read: Rows, stored: Any, tmp_path: Path, top_k: int | None
) -> None:
    teacher = family(16, seed=5).model
    request = SignalRequest(True, (2.0,) if top_k else (), LAST, top_k)
    cached = CachedSignals(stored(tmp_path, teacher, read, request))
    first = losses(family, read, cached, tmp_path)
    second = losses(family, read, OnlineSignals(teacher, request), tmp_path)
    assert len(first) == len(second) == 50
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_the_teacher_beside_a_student_is_not_trained(
    family: Any, read: Rows, tmp_path: Path
) -> None:
    teacher = family(16, seed=5).model
    before = [weight.clone() for weight in teacher.parameters()]
    losses(family, read, OnlineSignals(teacher, SignalRequest(True, layers=LAST)), tmp_path, 2)
    assert all(map(torch.equal, before, teacher.parameters()))
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not teacher.training


def test_rows_are_found_by_their_tokens_and_not_by_their_order(
    family: Any, read: Rows, causal: bool, stored: Any, tmp_path: Path
) -> None:
    source = CachedSignals(stored(tmp_path, family(16, seed=5).model, read, SignalRequest(True)))
    table = read.table(**source.columns(read))
    collate = Collator(0, source, causal=causal)
    turned = list(reversed([*table]))
    batch, other = collate([*table])["signals"], collate(turned)["signals"]
    torch.testing.assert_close(batch["top_logits"]["logits"], other["top_logits"]["logits"].flip(0))
