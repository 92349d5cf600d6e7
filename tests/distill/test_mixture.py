"""The mean of several teachers against a float64 reference, whole and with few logits kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from kdsearch.distill.data import Collator, Rows, encode
from kdsearch.distill.group import TeacherGroup, assembled_each
from kdsearch.distill.losses import ChoiceScores, SoftLabels
from kdsearch.distill.mixture import mixed, mixed_scores
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.several import OneByOne, Together
from kdsearch.distill.signals import as_read, assembled, teacher_signals
from kdsearch.distill.top_logits import FLOOR
from kdsearch.facts import facts_of_config
from kdsearch.plugin import LossInputs, Shapes, SignalRequest
from kdsearch.plugin.builtin import ChoiceScoresConfig, SoftLabelsConfig
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.models import PromptFormat

WEIGHTS = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
"""Of three examples and two teachers; one is wrong on the second example."""
MASK = torch.tensor([[True, True], [True, False], [True, True]])
VOCABULARY = 40
MEASURES = ScratchSize(d_model=8, d_ff=16, layers=1, heads=2)


@pytest.fixture
def logits() -> list[Tensor]:
    """Return two teachers' logits; the second has more entries, and is sure of itself."""
    torch.manual_seed(0)
    return [torch.randn(3, 2, VOCABULARY) * 3, torch.randn(3, 2, VOCABULARY + 8) * 30]


def mean(logits: list[Tensor], temperature: float, weights: Tensor = WEIGHTS) -> Tensor:
    """Return the mixture in float64, (examples, targets, vocabulary)."""
    shares = [(each[..., :VOCABULARY].double() / temperature).softmax(-1) for each in logits]
    parts = [weights[:, place, None, None].double() * each for place, each in enumerate(shares)]
    return torch.stack(parts).sum(0)


def inputs(student: Tensor, signals: dict[str, Any], mask: Tensor = MASK) -> LossInputs:
    labels = torch.where(mask, 1, -100)
    counts = {"target_tokens": mask.sum(), "examples": torch.tensor(len(labels))}
    return LossInputs(student, labels, mask, mask, mask, {}, signals, counts, no_layer, 0, 1)


def no_layer(*asked: Any) -> Tensor:
    raise AssertionError(f"no layer is read: {asked}")


def soft(temperature: float, direction: Any = "forward") -> SoftLabels:
    measures = scratch_model_config("t5", MEASURES, VOCABULARY)
    facts = facts_of_config(measures, head_tied=True)
    config = SoftLabelsConfig(temperature=temperature, direction=direction)
    return SoftLabels(config, Shapes(facts, (facts, facts)))


def divergence(student: Tensor, teacher: Tensor, temperature: float, direction: str) -> Tensor:
    """Return the loss of a student against given probabilities, in float64."""
    own, log = (student.double() / temperature).log_softmax(-1), teacher.log()
    if direction == "forward":
        each = (teacher * (log - own)).nan_to_num().sum(-1)
    else:
        each = (own.exp() * (own - log)).sum(-1)
    return temperature**2 * each[MASK].sum() / MASK.sum()


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_soft_labels_of_a_mixture(logits: list[Tensor], temperature: float, direction: str) -> None:
    student = torch.randn(3, 2, VOCABULARY, requires_grad=True)
    said = [{"top_logits": {"logits": each}} for each in logits]
    signals = {"by_teacher": dict(zip("ab", said, strict=True)), "weights": WEIGHTS}
    term = Together(soft(temperature, direction), temperature)
    term(inputs(student, signals)).backward()
    exact = student.detach().double().requires_grad_()
    expected = divergence(exact, mean(logits, temperature), temperature, direction)
    expected.backward()
    value = term(inputs(student, signals))
    torch.testing.assert_close(value.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(student.grad.double(), exact.grad, atol=1e-5, rtol=1e-5)  # type: ignore[union-attr]  # set


def test_a_mixture_at_a_temperature_is_no_mixture_of_logits(logits: list[Tensor]) -> None:
    said = [{"top_logits": {"logits": each}} for each in logits]
    for temperature in (1.0, 4.0):
        fields = mixed(said, WEIGHTS, temperature)["top_logits"]
        shares = (fields["logits"].double() / temperature).softmax(-1)
        torch.testing.assert_close(shares, mean(logits, temperature), atol=1e-6, rtol=1e-5)


def test_scores_of_options_mix_and_absent_ones_stay_absent() -> None:
    one, other = torch.randn(3, 3), torch.randn(3, 3)
    one[0, 2] = other[0, 2] = -torch.inf
    logs = mixed_scores([one, other], WEIGHTS.log(), 2.0)
    parts = [(each.double() / 2).softmax(-1) for each in (one, other)]
    expected = WEIGHTS[:, :1] * parts[0] + WEIGHTS[:, 1:] * parts[1]
    torch.testing.assert_close((logs.double() / 2).softmax(-1), expected, atol=1e-6, rtol=1e-5)
    assert logs[0, 2] == -torch.inf
    term = ChoiceScores(ChoiceScoresConfig(temperature=2.0), None)  # type: ignore[arg-type]  # unread
    given = inputs(torch.zeros(3, 2, 4), {"choice_scores": logs})
    value = term(LossInputs(**{**vars(given), "choice_scores": torch.zeros(3, 3)}))
    assert torch.isfinite(value)


class Fixed:
    """A teacher that says given logits."""

    def __init__(self, model: Any, rows: Rows, causal: bool) -> None:
        self.model, self.batch = model, Collator(0, causal=causal)([*rows.table()])

    def whole(self) -> Tensor:
        said = teacher_signals(self.model, self.batch, SignalRequest(True))
        return said["top_logits"].values


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def pair(request: Any, tiny: Any, tiny_causal: Any, sums: Any, tokenizer: Any) -> list[Fixed]:
    family = tiny_causal if request.param else tiny
    rows = encode(sums.load(None)[:3], sums, None, tokenizer, PromptFormat(), causal=request.param)
    return [Fixed(family(width, seed=width).model, rows, request.param) for width in (8, 16)]


@pytest.mark.parametrize("k", [4, 16])
def test_entries_and_tails_are_those_of_the_mixture(pair: list[Fixed], k: int) -> None:
    temperatures = (1.0, 2.0, 4.0)
    request = SignalRequest(True, temperatures, top_k=k)
    group = TeacherGroup([each.model for each in pair], ["auto", "auto"])
    told = {name: each.values for name, each in group.say(pair[0].batch, request).items()}
    parts = list(assembled_each(told, request, ["a", "b"]).values())
    whole = [each.whole() for each in pair]
    plain = torch.stack([each.softmax(-1) for each in whole]).mean(0)
    for temperature in temperatures:
        fields = mixed(parts, WEIGHTS, temperature)["top_logits"]
        shares = [(each.double() / temperature).softmax(-1) for each in whole]
        expected = sum(WEIGHTS[:, place, None, None] * each for place, each in enumerate(shares))
        kept = torch.as_tensor(expected).gather(-1, fields["ids"])
        assert fields["ids"].sort(-1).values.equal(plain.topk(k, -1).indices.sort(-1).values)
        torch.testing.assert_close(
            (fields["logits"].double() / temperature).exp(), kept, atol=2e-4, rtol=2e-3
        )
        tail = fields["log_tails"][str(temperature)].double().exp()
        torch.testing.assert_close(tail, 1.0 - kept.sum(-1), atol=1e-5, rtol=1e-4)
        assert (tail.log() >= FLOOR - 1e-6).all()


def test_separate_terms_are_the_weighted_mean_of_the_losses(logits: list[Tensor]) -> None:
    student = torch.randn(3, 2, VOCABULARY)
    said = {name: {"top_logits": {"logits": each}} for name, each in zip("ab", logits, strict=True)}
    term = OneByOne({"a": soft(2.0), "b": soft(2.0)}, [0.25, 0.75])
    value = term(inputs(student, {"by_teacher": said, "weights": WEIGHTS}))
    each = [soft(2.0)(inputs(student, as_read(said[name]))) for name in "ab"]
    torch.testing.assert_close(value, 0.25 * each[0] + 0.75 * each[1])


def test_two_equal_teachers_are_as_one(tiny: Any, rows: Rows) -> None:
    teacher, student = Fixed(tiny(16, seed=5).model, rows.only(3), False), tiny(8, seed=3)
    fields = assembled({"top_logits": teacher.whole()}, SignalRequest(True))
    both = mixed([fields, fields], WEIGHTS[:1], 2.0)
    term = SoftLabels(SoftLabelsConfig(temperature=2.0), Shapes(student.facts, (student.facts,)))
    model = DistillationModel(student.model.eval(), {"soft": Term(term, 1.0)})
    counts = {"target_tokens": torch.tensor(6)}
    one, two = (
        model(window_counts=counts, signals=said, **teacher.batch)["loss"]
        for said in (fields, both)
    )
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
