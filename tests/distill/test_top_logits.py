"""Kept logits with a tail: exact where the tail is, finite where the teacher is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.distill.data import Collator
from kdsearch.distill.divergences import forward_kl
from kdsearch.distill.losses import SoftLabels
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.sources import CachedSignals
from kdsearch.distill.top_logits import entries, log_probabilities, pack
from kdsearch.plugin import Shapes, SignalRequest
from kdsearch.plugin.builtin import SoftLabelsConfig

if TYPE_CHECKING:
    from pathlib import Path

TOKENS, VOCABULARY = 6, 40


def normal(seed: int, scale: float = 3.0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(TOKENS, VOCABULARY, generator=random)


def divergence(*arguments: Any) -> torch.Tensor:
    return forward_kl(*log_probabilities(*arguments))


def bucketed(student: torch.Tensor, teacher: torch.Tensor, k: int, temperature: float) -> Any:
    """Compute the divergence with one tail bucket in float64, entry by entry."""
    total = torch.zeros((), dtype=torch.float64)
    for own, other in zip(student.double(), teacher.double(), strict=True):
        p, q = (other / temperature).softmax(-1), (own / temperature).softmax(-1)
        kept = other.topk(k).indices
        rest = torch.ones(len(p), dtype=torch.bool)
        rest[kept] = False
        total = total + (p[kept] * (p[kept] / q[kept]).log()).sum()
        total = total + p[rest].sum() * (p[rest].sum() / q[rest].sum()).log()
    return total


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("k", [1, 8, 39])
def test_value_and_gradient_are_those_of_the_bucketed_divergence(
    k: int, temperature: float
) -> None:
    teacher = normal(1).half().float()  # so that storing rounds nothing but the shift
    student, twin = (normal(2).requires_grad_() for _ in range(2))
    packed = pack(teacher, k, [temperature])
    ids = entries(packed["top_ids"])
    exact = teacher.gather(-1, ids)
    ours = divergence(student, exact, ids, packed["top_tails"][:, 0], temperature)
    reference = bucketed(twin, teacher, k, temperature)
    ours.backward()
    reference.backward()
    torch.testing.assert_close(ours.double(), reference, atol=1e-5, rtol=1e-5)
    assert student.grad is not None
    assert twin.grad is not None
    torch.testing.assert_close(student.grad, twin.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("top", [0.0, 30.0, 100.0])
@pytest.mark.parametrize("k", [1, 16])
def test_a_sure_teacher_gives_finite_losses(top: float, k: int) -> None:
    teacher, student = normal(3), normal(4, scale=20.0).requires_grad_()
    teacher[:, 5] += top
    packed = pack(teacher, k, [1.0])
    loss = divergence(
        student, packed["top_values"], entries(packed["top_ids"]), packed["top_tails"][:, 0], 1.0
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@given(seed=st.integers(0, 30), k=st.integers(1, 39))
def test_it_never_exceeds_the_whole_divergence(seed: int, k: int) -> None:
    teacher, student = normal(seed), normal(seed + 100)
    packed = pack(teacher, k, [1.0])
    ids = entries(packed["top_ids"])
    kept = divergence(student, teacher.gather(-1, ids), ids, packed["top_tails"][:, 0], 1.0)
    whole = torch.nn.functional.kl_div(
        student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="sum"
    )
    assert -1e-4 < kept.item() <= whole.item() + 1e-4


@pytest.mark.parametrize("vocabulary", [2**16, 2**16 + 1])
def test_entries_survive_their_storage(vocabulary: int) -> None:
    logits = torch.zeros(2, vocabulary)
    logits[0, vocabulary - 1] = logits[1, 0] = 9.0
    packed = pack(logits, 1, [1.0])
    assert entries(packed["top_ids"]).tolist() == [[vocabulary - 1], [0]]
    assert packed["top_ids"].element_size() == (2 if vocabulary == 2**16 else 4)


def test_a_store_of_kept_logits_trains_nearly_as_the_whole(
    tiny: Any, rows: Any, stored: Any, tmp_path: Path
) -> None:
    teacher, facts = tiny(12, seed=5)
    losses = []
    for k in (None, 240):
        request = SignalRequest(True, (1.0, 2.0), top_k=k)
        store = stored(tmp_path, teacher, rows, request)
        term = SoftLabels(SoftLabelsConfig(temperature=2), Shapes(facts, (facts,)))
        model = DistillationModel(tiny(8, seed=1).model, {"soft_labels": Term(term, 1.0)})
        taken = [
            {"input_ids": rows.sources[row], "labels": rows.targets[row], "signal_row": at}
            for row, at in enumerate(store.rows_of(rows.keys()))
        ]
        batch = Collator(0, CachedSignals(store))(taken[:20])
        counts = {"target_tokens": (batch["labels"] != -100).sum()}
        losses.append(model(**batch, window_counts=counts)["loss"].item())
    whole, kept = losses
    assert kept == pytest.approx(whole, rel=0.2)
    assert kept <= whole + 1e-4
