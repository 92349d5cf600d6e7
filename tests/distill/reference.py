"""A loss as a trial computes it, beside what float64 and plain transformers say it is.

Ours goes the way of every trial: rows, store, table, collator, Trainer, model. The reference runs
each row alone, without padding, by transformers' own call of the model, and loops over tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from kdsearch.distill.data import Collator, Rows
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.sources import OnlineSignals
from kdsearch.distill.training import train
from kdsearch.facts import facts_of_config
from kdsearch.plugin import Example, ModelFacts, Shapes, SignalRequest
from kdsearch.plugin.host import Host
from kdsearch.spec.cache import Cache
from kdsearch.spec.models import DomainChoice, Stage
from kdsearch.spec.objective import LossTerm
from kdsearch.spec.signals import stage_requests
from kdsearch.spec.teachers import Teacher
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.distill.sources import Source
    from kdsearch.plugin import Loss

LOSSES: Mapping[str, Loss] = {name: offer.item for name, offer in Host().losses.items()}

SPLITS = [(6, 1), (3, 2), (1, 6)]
"""Batch size and accumulation: all rows padded to the longest, halves, and none padded."""

TEXTS: Sequence[tuple[list[int], list[int]]] = [
    ([5, 6, 7, 8, 1], [10, 1]),
    ([9, 1], [11, 12, 13, 14, 1]),
    ([4, 3, 5, 1], [1]),
    ([6, 6, 1], [0, 7, 1]),
    ([8, 9, 10, 11, 12, 13, 1], [5, 1]),
    ([7, 1], [12]),
]
"""Source and target of each row, of different lengths; 0 is T5's padding and start, 1 the end."""


class Said(NamedTuple):
    """What a model says of one row, in float64 and without padding."""

    logits: Tensor
    """(target, vocabulary)"""
    states: Mapping[str, Sequence[Tensor]]
    """By stack and layer: (tokens, width); of a causal model where targets are predicted."""
    projected: Mapping[str, Tensor]
    """What each projection of attention has returned, (tokens, width), by its name."""

    def vectors(self, stack: str, layer: int) -> dict[str, Tensor]:
        """Return queries, keys and values of a layer's self-attention."""
        t5 = f"{stack}.block.{layer - 1}.layer.0.SelfAttention."
        llama = f"model.layers.{layer - 1}.self_attn."
        return {
            kind: next(
                self.projected[name]
                for name in (f"{t5}{kind[0]}", f"{llama}{kind[0]}_proj")
                if name in self.projected
            )
            for kind in ("queries", "keys", "values")
        }


Formula = Callable[[Said, Said, Sequence[int], Mapping[str, Tensor]], Tensor]
"""A loss of one row, before the division: student, teacher, target ids, the loss's own weights."""


@dataclass
class Case:
    """A student, a teacher and their rows.

    The weights are larger than those that models begin with, so that no mistake is too small.
    """

    causal: bool
    student: Any
    teacher: Any
    texts: Sequence[tuple[list[int], list[int]]] = field(default_factory=lambda: TEXTS)
    tokens: int | None = None
    """How many entries of the teacher's vocabulary are tokens."""
    option_shares: tuple[float, ...] = ()
    """How often each option is right."""
    beside: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """What the table carries beside the rows: options and views."""

    def __post_init__(self) -> None:
        for seed, model in enumerate((self.student, self.teacher)):
            random = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for weights in model.parameters():
                    weights.add_(0.3 * torch.randn(weights.shape, generator=random))
            model.eval()

    @property
    def rows(self) -> Rows:
        sources, targets = zip(*self.texts, strict=True)
        examples = [Example(str(place), "", "") for place, _ in enumerate(self.texts)]
        return Rows(examples, sources, targets, [()] * len(examples), 0, [()] * len(examples))

    @property
    def shapes(self) -> Shapes:
        teacher = replace(facts_of(self.teacher), tokens=self.tokens)
        return Shapes(facts_of(self.student), (teacher,), self.option_shares)

    @property
    def counts(self) -> dict[str, int]:
        """The units of all rows."""
        return {
            "source_tokens": sum(len(source) for source, _ in self.texts),
            "target_tokens": sum(len(target) for _, target in self.texts),
            "read_tokens": sum(
                len(source) + (len(target) - 1 if self.causal else 0)
                for source, target in self.texts
            ),
            "examples": len(self.texts),
        }

    def request(self, name: str, options: Mapping[str, Any], **cache: Any) -> SignalRequest:
        student, (teacher,), _ = self.shapes
        stage = Stage(
            domain=DomainChoice(name="any"),
            teachers=(Teacher(model="any"),),
            losses={name: LossTerm(**options)},
        )
        found = stage_requests(stage, LOSSES, {0: teacher}, [student.layers], Cache(**cache))
        return found.get("0", SignalRequest())


class Measured(NamedTuple):
    """A term of the first step, with its gradients by name of the weights."""

    value: float
    gradients: Mapping[str, Tensor]
    heads: Mapping[str, Tensor]
    """The loss's own weights."""


def facts_of(model: Any) -> ModelFacts:
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return facts_of_config(model.config.to_dict(), head_tied=tied)


def online(case: Case, request: SignalRequest) -> Source:
    return OnlineSignals(case.teacher, request)


def measured(
    case: Case,
    name: str,
    options: Mapping[str, Any],
    folder: Path,
    split: tuple[int, int] = SPLITS[0],
    source: Source | None = None,
    **training: Any,
) -> Measured:
    """Train one step on all rows with one loss; the learning rate is next to nothing."""
    torch.manual_seed(7)
    loss = LOSSES[name]
    config = loss.Config(**options)
    head = loss.build(config, case.shapes)
    student = copy.deepcopy(case.student)
    views = [view.name for view in getattr(config, "views", ())]
    model = DistillationModel(student, {name: Term(head, 1.0)}, needs=loss.needs, views=views)
    source = source or online(case, case.request(name, options))
    gradients = _gradients(model)
    told: list[Mapping[str, float]] = []
    train(
        model,
        case.rows.table(**source.columns(case.rows), **case.beside),
        Collator(student.config.pad_token_id, source, causal=case.causal),
        Training(
            batch_size=split[0],
            gradient_accumulation=split[1],
            max_steps=1,
            learning_rate=1e-12,
            weight_decay=0.0,
            **training,
        ),
        steps=1,
        folder=folder,
        seed=0,
        report=lambda progress: told.append(progress["losses"]),
    )
    assert told[0]["loss"] == told[0][f"loss_{name}"]
    heads = {key: weights.detach() for key, weights in head.named_parameters()}
    return Measured(told[0]["loss"], gradients, heads)


def _gradients(model: DistillationModel) -> dict[str, Tensor]:
    """Return what will hold the gradients of a window, before they are clipped."""
    found: dict[str, Tensor] = {}
    for name, weights in model.named_parameters():
        weights.register_post_accumulate_grad_hook(
            lambda weights, name=name: found.update({name: weights.grad.clone()})
        )
    return found


def expected(
    case: Case, name: str, formula: Formula, unit: str, heads: Mapping[str, Tensor]
) -> Measured:
    """Return a loss and its gradients by a formula over rows, in float64."""
    teacher = copy.deepcopy(case.teacher).double()

    def objective(student: Any, twins: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for source, target in case.texts:
            with torch.no_grad():
                told = said(teacher, source, target)
            total = total + formula(said(student, source, target), told, target, twins)
        return total / case.counts[unit]

    return expected_of(case, name, objective, heads)


def expected_of(
    case: Case,
    name: str,
    objective: Callable[[Any, Mapping[str, Tensor]], Tensor],
    heads: Mapping[str, Tensor],
) -> Measured:
    """Return a loss and its gradients, of a student in float64 and of the loss's own weights."""
    student = copy.deepcopy(case.student).double()
    twins = {key: weights.double().clone().requires_grad_() for key, weights in heads.items()}
    value = objective(student, twins)
    value.backward()
    gradients = {
        f"student.{key}": weights.grad
        for key, weights in student.named_parameters()
        if weights.grad is not None
    }
    gradients |= {
        f"heads.{name}.{key}": weights.grad
        for key, weights in twins.items()
        if weights.grad is not None
    }
    return Measured(value.item(), gradients, heads)


def said(model: Any, source: Sequence[int], target: Sequence[int]) -> Said:
    """Run a model on one row by its own forward."""
    projected: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, values, name=name: projected.update({name: values[0]})
        )
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    found = _said(model, source, target, projected)
    for hook in hooks:
        hook.remove()
    return found


def _said(
    model: Any, source: Sequence[int], target: Sequence[int], projected: Mapping[str, Tensor]
) -> Said:
    if model.config.is_encoder_decoder:
        outputs = model(
            input_ids=torch.tensor([list(source)]),
            labels=torch.tensor([list(target)]),
            output_hidden_states=True,
        )
        return Said(
            outputs.logits[0],
            {
                "encoder": [layer[0] for layer in outputs.encoder_hidden_states],
                "decoder": [layer[0] for layer in outputs.decoder_hidden_states],
            },
            projected,
        )
    read = torch.tensor([[*source, *target[:-1]]])
    outputs = model(input_ids=read, output_hidden_states=True)
    at = slice(len(source) - 1, None)
    states = [layer[0, at] for layer in outputs.hidden_states]
    return Said(outputs.logits[0, at], {"decoder": states}, projected)


def agree(found: Measured, reference: Measured, within: float = 1e-5) -> None:
    """Compare values and all gradients, relative to what is larger than 1."""
    assert abs(found.value - reference.value) <= within * max(1.0, abs(reference.value))
    given = {key: grad.double() for key, grad in found.gradients.items() if grad.any()}
    due = {key: grad.double() for key, grad in reference.gradients.items() if grad.any()}
    assert given.keys() == due.keys()
    assert due, "nothing is learned"
    for key, gradient in due.items():
        close = torch.allclose(given[key], gradient, atol=within, rtol=within)
        assert close, f"{key} is off by {(given[key] - gradient).abs().max():.1e}"
