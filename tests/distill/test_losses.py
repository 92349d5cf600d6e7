"""Loss terms against float64 references, and their invariances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.distill.losses import AnswerCe, HiddenMse, SoftLabels
from kdsearch.facts import ModelFacts
from kdsearch.plugin import LossInputs, Shapes, TopLogits
from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BATCH, TARGET, SOURCE, VOCABULARY = 3, 5, 7, 11


def facts(hidden: int, vocabulary: int = VOCABULARY) -> ModelFacts:
    return ModelFacts(None, "t5", {}, 1, 1, vocabulary, 2, hidden, True)


def inputs(seed: int = 0, student_width: int = 4, teacher_width: int = 4) -> LossInputs:
    """Return a random micro-batch whose rows are padded to different lengths."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float32)

    lengths = torch.tensor([5, 2, 4])
    mask = torch.arange(TARGET) < lengths[:, None]
    source_mask = torch.arange(SOURCE) < torch.tensor([7, 3, 5])[:, None]
    labels = torch.randint(0, VOCABULARY, (BATCH, TARGET), generator=random)
    states = {
        "encoder": [normal(BATCH, SOURCE, student_width) for _ in range(3)],
        "decoder": [normal(BATCH, TARGET, student_width) for _ in range(3)],
    }
    return LossInputs(
        student_logits=normal(BATCH, TARGET, VOCABULARY).requires_grad_(),
        labels=labels.masked_fill(~mask, -100),
        target_mask=mask,
        source_mask=source_mask,
        read_mask=source_mask,
        student_hidden=states,
        student_layer=lambda _, stack, layer: states[stack][layer],
        signals={
            "top_logits": TopLogits(3 * normal(BATCH, TARGET, VOCABULARY)),
            "hidden_states": {
                "encoder": {layer: normal(BATCH, SOURCE, teacher_width) for layer in (1, 2)},
                "decoder": {layer: normal(BATCH, TARGET, teacher_width) for layer in (1, 2)},
            },
        },
        window_counts={
            "target_tokens": mask.sum(),
            "source_tokens": source_mask.sum(),
            "examples": torch.tensor(BATCH),
        },
        step=0,
        total_steps=10,
    )


def check(value: Tensor, reference: Tensor, leaf: Tensor, twin: Tensor) -> None:
    """Compare a loss and its gradient with a float64 reference."""
    value.backward()
    reference.backward()
    assert leaf.grad is not None
    assert twin.grad is not None
    torch.testing.assert_close(value.double(), reference, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(leaf.grad.double(), twin.grad, atol=1e-5, rtol=1e-5)


def build(kind: Any, config: Any, student: int = 4, teacher: int = 4) -> Any:
    return kind(config, Shapes(facts(student), (facts(teacher),)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_answer_ce_equals_its_formula(smoothing: float) -> None:
    batch = inputs()
    twin = batch.student_logits.detach().double().requires_grad_()
    logs = twin.log_softmax(-1)
    total = torch.zeros((), dtype=torch.float64)
    for row in range(BATCH):
        for at in range(int(batch.target_mask[row].sum())):
            gold = -logs[row, at, batch.labels[row, at]]
            total = total + (1 - smoothing) * gold - smoothing * logs[row, at].mean()
    loss = build(AnswerCe, AnswerCeConfig(label_smoothing=smoothing))
    check(loss(batch), total / 11, batch.student_logits, twin)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum()


DIRECTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward": kl,
    "reverse": lambda p, q: kl(q, p),
    "jsd": lambda p, q: 0.3 * kl(p, 0.3 * p + 0.7 * q) + 0.7 * kl(q, 0.3 * p + 0.7 * q),
    "skew": lambda p, q: kl(p, 0.1 * p + 0.9 * q),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_soft_labels_equals_its_formula(temperature: float, direction: Any) -> None:
    batch = inputs()
    twin = batch.student_logits.detach().double().requires_grad_()
    teacher = batch.signals["top_logits"].logits.double()
    total = torch.zeros((), dtype=torch.float64)
    for row in range(BATCH):
        for at in range(int(batch.target_mask[row].sum())):
            p = (teacher[row, at] / temperature).softmax(-1)
            q = (twin[row, at] / temperature).softmax(-1)
            total = total + DIRECTIONS[direction](p, q)
    config = SoftLabelsConfig(temperature=temperature, direction=direction, beta=0.3)
    loss = build(SoftLabels, config)
    check(loss(batch), temperature**2 * total / 11, batch.student_logits, twin)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_soft_labels_is_zero_when_student_equals_teacher(direction: Any) -> None:
    batch = inputs()
    batch.signals["top_logits"].logits.copy_(batch.student_logits.detach())
    value = build(SoftLabels, SoftLabelsConfig(temperature=2, direction=direction))(batch)
    assert value.item() == pytest.approx(0, abs=1e-6)


def test_soft_labels_stays_finite_with_a_certain_teacher() -> None:
    batch = inputs()
    batch.signals["top_logits"].logits.mul_(0).index_fill_(-1, torch.tensor([3]), 100.0)
    loss = build(SoftLabels, SoftLabelsConfig())(batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert batch.student_logits.grad is not None
    assert torch.isfinite(batch.student_logits.grad).all()


def test_soft_labels_leaves_padding_of_the_vocabulary_out() -> None:
    batch = inputs()
    shapes = Shapes(facts(4, VOCABULARY), (facts(4, VOCABULARY - 3),))
    loss = SoftLabels(SoftLabelsConfig(), shapes)(batch)
    loss.backward()
    assert batch.student_logits.grad is not None
    assert not batch.student_logits.grad[..., -3:].any()


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("student_width", [4, 6])
def test_hidden_mse_equals_its_formula(stack: Any, normalize: bool, student_width: int) -> None:
    batch = inputs(student_width=student_width)
    loss = build(HiddenMse, HiddenMseConfig(stack=stack, normalize=normalize), student_width)
    states = batch.student_hidden[stack][-1].requires_grad_()
    twin = states.detach().double().requires_grad_()
    mask = batch.source_mask if stack == "encoder" else batch.target_mask
    identity = student_width == 4
    weight = torch.eye(4).double() if identity else loss.projection.weight.double().detach()
    total = torch.zeros((), dtype=torch.float64)
    for row, at in mask.nonzero().tolist():
        own = weight @ twin[row, at]
        other = batch.signals["hidden_states"][stack][2][row, at].double()
        if normalize:
            own, other = own / own.norm(), other / other.norm()
        total = total + ((own - other) ** 2).mean()
    check(loss(batch), total / mask.sum(), states, twin)


@pytest.mark.parametrize("project", ["student", "teacher"])
@pytest.mark.parametrize("student_width", [4, 6])
def test_hidden_cosine_of_all_layers_equals_its_formula(project: Any, student_width: int) -> None:
    batch = inputs(student_width=student_width)
    config = HiddenMseConfig(distance="cosine", layers="uniform", project=project)
    loss = build(HiddenMse, config, student_width)
    states = batch.student_hidden["decoder"]
    leaf = states[1].requires_grad_()
    twin = leaf.detach().double().requires_grad_()
    equal = student_width == 4
    weight = torch.eye(4).double() if equal else loss.projection.weight.detach().double()
    total = torch.zeros((), dtype=torch.float64)
    for layer in (1, 2):
        for row, at in batch.target_mask.nonzero().tolist():
            own = twin[row, at] if layer == 1 else states[2][row, at].double()
            other = batch.signals["hidden_states"]["decoder"][layer][row, at].double()
            own, other = (weight @ own, other) if project == "student" else (own, weight @ other)
            total = total + 1 - own @ other / (own.norm() * other.norm())
    check(loss(batch), total / 2 / batch.target_mask.sum(), leaf, twin)


@given(seed=st.integers(0, 50), extra=st.integers(1, 4))
def test_padding_changes_no_loss(seed: int, extra: int) -> None:
    batch = inputs(seed)
    padded = _padded(batch, extra)
    for kind, config in (
        (AnswerCe, AnswerCeConfig(label_smoothing=0.1)),
        (SoftLabels, SoftLabelsConfig(temperature=2)),
        (HiddenMse, HiddenMseConfig(stack="encoder")),
        (HiddenMse, HiddenMseConfig(layers="uniform", distance="cosine")),
    ):
        loss = build(kind, config)
        torch.testing.assert_close(loss(batch), loss(padded), atol=1e-6, rtol=1e-5)


def _padded(batch: LossInputs, extra: int) -> LossInputs:
    def longer(values: Tensor, fill: float) -> Tensor:
        shape = (values.shape[0], extra, *values.shape[2:])
        return torch.cat([values, torch.full(shape, fill, dtype=values.dtype)], dim=1)

    signals = {
        "top_logits": TopLogits(longer(batch.signals["top_logits"].logits, 0)),
        "hidden_states": {
            stack: {layer: longer(states, 0) for layer, states in layers.items()}
            for stack, layers in batch.signals["hidden_states"].items()
        },
    }
    return LossInputs(
        student_logits=longer(batch.student_logits, 9.0),
        labels=longer(batch.labels, -100),
        target_mask=longer(batch.target_mask, 0),
        source_mask=longer(batch.source_mask, 0),
        read_mask=longer(batch.read_mask, 0),
        student_layer=batch.student_layer,
        student_hidden={
            stack: [longer(layer, 5.0) for layer in states]
            for stack, states in batch.student_hidden.items()
        },
        signals=signals,
        window_counts=batch.window_counts,
        step=0,
        total_steps=10,
    )
