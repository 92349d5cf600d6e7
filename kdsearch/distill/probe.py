"""One loss on a few questions between two tiny models: what `kdsearch.testing` looks at.

Batches, signals, views and scores of options are made as a trial makes them; there is no Trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from kdsearch.distill.choices import collate_options, option_scores
from kdsearch.distill.data import Collator, Encoder, Rows, encode
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import forward
from kdsearch.distill.sources import OnlineSignals
from kdsearch.distill.students import byte_tokenizer
from kdsearch.distill.trainer import window_counts
from kdsearch.distill.views import view_columns
from kdsearch.facts import facts_of_config
from kdsearch.plugin import Answer, Example, Prompt, Shapes, Signal
from kdsearch.plugin.signals import request_of
from kdsearch.spec.models import PromptFormat
from kdsearch.spec.parts import needs_of, scores_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdsearch.plugin import Loss

ANIMALS = [
    ("Which flies?", ("cow", "owl"), 1, "An owl has wings."),
    ("Which of these swims?", ("cod", "hen", "fly"), 0, None),
    ("Which barks?", ("cat", "dog", "hen"), 1, "Dogs bark, as every postman knows."),
    ("Which gives us milk, and cheese?", ("cow", "ant"), 0, "Cows do."),
    ("Which has eight legs?", ("ant", "spider"), 1, None),
    ("Which crows?", ("cock", "cow", "owl"), 0, "It wakes the farm."),
]
"""Questions, options, the right one, and why."""


class Probe(NamedTuple):
    """What a loss makes of all questions."""

    value: float
    gradient: Tensor
    """With regard to the student's weights, end to end."""
    heads: bool
    """Whether all of the loss's own weights have a gradient; true where there are none."""


class _Animals:
    """Answers in words of different lengths."""

    name = "animals"
    answer = Answer.CHOICE

    def format(self, example: Example, options: Any) -> Prompt:
        """List the options."""
        text = f"{example.question} {', '.join(example.choices)}?"
        return Prompt(example.correct, text, choices=example.choices)


def probe(
    loss: Loss,
    options: Mapping[str, Any],
    batches: Sequence[int],
    *,
    causal: bool,
    student_width: int = 16,
) -> Probe:
    """Compute a loss and its gradient.

    Args:
        loss: The term.
        options: Its part of a spec.
        batches: How many questions are in each micro-batch of one window; six in all.
        causal: Whether the models are causal rather than encoder-decoders.
        student_width: The teacher is 16 wide, with 4 heads in each of 4 layers; the student has
            2 layers.
    """
    student = _model(causal, student_width, 2).train(False)
    teacher = _model(causal, 16, 4).train(False)
    facts = [facts_of_config(each.config.to_dict(), head_tied=True) for each in (student, teacher)]
    config = loss.Config(**options)
    shares = tuple(1 / 3 for _ in range(3))
    torch.manual_seed(0)
    term = loss.build(config, Shapes(facts[0], (facts[1],), shares))
    views = [view.name for view in getattr(config, "views", ())]
    needs = needs_of(loss, config)
    model = DistillationModel(student, {loss.name: Term(term, 1.0)}, needs=needs, views=views)
    table = _table(loss, config, teacher, causal=causal)
    request = request_of(loss, config, facts[1], facts[0].layers)
    collate = Collator(0, OnlineSignals(teacher, request) if request else None, causal=causal)
    made, start = [], 0
    for count in batches:
        made.append(collate(table[start : start + count]))
        start += count
    counts = {name: torch.as_tensor(each) for name, each in window_counts(made, views).items()}
    losses = [model(**batch, window_counts=counts)["loss"] for batch in made]
    total = torch.stack(losses).sum()
    total.backward()
    gradients = [
        torch.zeros_like(weights) if weights.grad is None else weights.grad
        for weights in student.parameters()
    ]
    heads = all(weights.grad is not None for weights in term.parameters())
    return Probe(total.item(), torch.cat([each.flatten() for each in gradients]), heads)


def _table(loss: Loss, config: Any, teacher: Any, *, causal: bool) -> list[dict[str, Any]]:
    """Return the rows as a trial's table holds them."""
    examples = [
        Example(str(place), question, right, choices=choices, rationale=why)
        for place, (question, choices, right, why) in enumerate(ANIMALS)
    ]
    domain: Any = _Animals()
    tokenizer, limits = byte_tokenizer(), PromptFormat()
    rows = encode(examples, domain, None, tokenizer, limits, causal=causal)
    scored = scores_options(loss, config)
    columns: dict[str, list[Any]] = {"choices": list(rows.choices)} if scored else {}
    if Signal.CHOICE_SCORES in needs_of(loss, config):
        columns["choice_scores"] = _scores(teacher, rows, causal=causal)
    encoder = Encoder(domain, None, tokenizer, limits, causal=causal)
    for view in getattr(config, "views", ()):
        columns |= view_columns(view, examples, encoder, scored=scored)
    return [*rows.table(**columns)]


@torch.no_grad()
def _scores(teacher: Any, rows: Rows, *, causal: bool) -> list[list[float]]:
    """Return the teacher's scores of the options of each row."""
    batch = Collator(0, causal=causal)([*rows.table()])
    options = collate_options(rows.sources, rows.choices, 0, causal=causal)
    scores = option_scores(teacher, forward(teacher, batch).logits, options)
    pairs = zip(scores.tolist(), rows.choices, strict=True)
    return [each[: len(choices)] for each, choices in pairs]


def _model(causal: bool, width: int, layers: int) -> Any:
    """Return a tiny model of lively weights, 4 heads in each layer."""
    torch.manual_seed(layers)
    ids: dict[str, Any] = {"vocab_size": 259, "pad_token_id": 0, "eos_token_id": 1}
    model: Any
    if causal:
        config: Any = LlamaConfig(
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            bos_token_id=None,
            tie_word_embeddings=True,
            **ids,
        )
        model = LlamaForCausalLM(config)
    else:
        config = T5Config(
            d_model=width, d_ff=32, d_kv=4, num_layers=layers, num_heads=4, dropout_rate=0.0, **ids
        )
        config.decoder_start_token_id = 0
        model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.2 * torch.randn(weights.shape))
    return model
