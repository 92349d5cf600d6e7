"""Options in training: scored as evaluation scores them, and their loss against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.choices import ABSENT, collate_options, option_scores, pad_scores
from kdsearch.distill.data import Collator, encode
from kdsearch.distill.evaluate import predict
from kdsearch.distill.losses import ChoiceScores
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import collate, forward
from kdsearch.plugin import Example, LossInputs, Shapes
from kdsearch.plugin.builtin import ChoiceScoresConfig
from kdsearch.spec.models import PromptFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SINGLE = [Example("a", "3 or 4?", 0, choices=("3", "4")), Example("b", "1?", 0, choices=("1",))]
LONGER = [
    Example("a", "3 or 14?", 0, choices=("3", "14")),
    Example("b", "10, 200 or 3?", 1, choices=("10", "200", "3")),
    Example("c", "12 or 123?", 1, choices=("12", "123")),
]


@pytest.mark.parametrize("examples", [SINGLE, LONGER], ids=["single", "longer"])
@pytest.mark.parametrize("causal", [False, True])
def test_options_are_scored_as_evaluation_scores_them(
    tiny: Any, tiny_causal: Any, bigger: Any, tokenizer: Any, examples: list[Example], causal: bool
) -> None:
    model = (tiny_causal if causal else tiny)(16).model.train(False)
    rows = encode(examples, bigger, None, tokenizer, PromptFormat(format="plain"), causal=causal)
    options = collate_options(rows.sources, rows.choices, 0, causal=causal)
    logits = forward(model, collate(rows.sources, rows.targets, 0, causal=causal)).logits
    scores = option_scores(model, logits, options)
    for row, answer in zip(scores, predict(model, tokenizer, rows, bigger), strict=True):
        known = len(answer.scores)
        assert row[:known].tolist() == pytest.approx(answer.scores, abs=1e-4)
        assert all(value == ABSENT for value in row[known:].tolist())


@pytest.mark.parametrize("causal", [False, True])
def test_options_of_one_token_are_read_off_the_pass_of_the_answer(
    tiny: Any, tiny_causal: Any, causal: bool
) -> None:
    model = (tiny_causal if causal else tiny)(16).model.train(False)
    source, other = [9, 8, 7], [5, 4]
    alone = collate_options([source], [[[20], [30]]], 0, causal=causal)
    among = collate_options([source, other], [[[20], [30]], [[20, 30]]], 0, causal=causal)
    logits = forward(model, collate([source], [[40, 1]], 0, causal=causal)).logits
    assert (list(alone), "slots" in among) == (["first"], True)
    torch.testing.assert_close(
        option_scores(model, logits, alone)[0], option_scores(model, logits, among)[0]
    )


def loss(student: Tensor, teacher: Tensor, temperature: float, examples: int | None = None) -> Any:
    unread: Any = None
    inputs = LossInputs(
        student_logits=unread,
        labels=unread,
        target_mask=unread,
        source_mask=unread,
        read_mask=torch.ones(1, 1, dtype=torch.bool),
        student_hidden={},
        student_layer=lambda *_: torch.zeros(0),
        signals={"choice_scores": teacher},
        window_counts={"examples": torch.tensor(examples or len(student))},
        step=0,
        total_steps=1,
        choice_scores=student,
    )
    return ChoiceScores(ChoiceScoresConfig(temperature=temperature), unread)(inputs)


def reference(student: Sequence[Tensor], teacher: Sequence[Tensor], temperature: float) -> Tensor:
    total = torch.tensor(0.0, dtype=torch.float64)
    for s, t in zip(student, teacher, strict=True):
        p = torch.softmax(t.double() / temperature, -1)
        q = torch.softmax(s.double() / temperature, -1)
        total = total + (p * (p.log() - q.log())).sum()
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_value_and_gradient_match_a_reference(temperature: float) -> None:
    random = torch.Generator().manual_seed(0)
    student = torch.randn(3, 4, generator=random).mul(3).requires_grad_()
    teacher = torch.randn(3, 4, generator=random).mul(5)
    counts = [4, 2, 1]
    absent = torch.arange(4) >= torch.tensor(counts)[:, None]
    value = loss(
        student.masked_fill(absent, ABSENT), teacher.masked_fill(absent, ABSENT), temperature
    )
    value.backward()
    found = student.grad
    student.grad = None
    short = [row[:count] for row, count in zip(student, counts, strict=True)]
    told = [row[:count] for row, count in zip(teacher, counts, strict=True)]
    expected = reference(short, told, temperature)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(found, student.grad, rtol=1e-4, atol=1e-6)


def test_equal_scores_cost_nothing_whatever_their_level() -> None:
    scores = torch.tensor([[-1.0, -2.0, ABSENT], [-3.0, -9.0, -0.5]])
    assert float(loss(scores + 7.0, scores, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_the_loss_does_not_change_with_the_split_of_a_batch() -> None:
    student, teacher = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    parts = [loss(student[at], teacher[at], 1.0, 6) for at in (slice(0, 1), slice(1, 6))]
    assert float(sum(parts)) == pytest.approx(float(loss(student, teacher, 1.0)), rel=1e-6)


def test_a_batch_carries_scores_and_options_to_the_loss(
    tiny: Any, bigger: Any, tokenizer: Any
) -> None:
    built = tiny(16)
    rows = encode(LONGER, bigger, None, tokenizer, PromptFormat())
    answers = predict(built.model, tokenizer, rows, bigger)
    given = [answer.scores for answer in answers]
    table = rows.table(choices=rows.choices, choice_scores=given)
    batch = Collator(0)([table[row] for row in range(3)])
    torch.testing.assert_close(batch["signals"]["choice_scores"], pad_scores(given))
    term = ChoiceScores(ChoiceScoresConfig(), Shapes(built.facts, ()))
    model = DistillationModel(built.model.train(False), {"choice_scores": Term(term, 1.0)})
    counts = {"examples": torch.tensor(3)}
    assert model(window_counts=counts, **batch)["loss"].item() == pytest.approx(0.0, abs=1e-5)
