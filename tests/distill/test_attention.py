"""What is read off self-attention, and losses of it against float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from kdsearch.distill.passes import collate, forward
from kdsearch.distill.sources import CachedSignals, OnlineSignals
from kdsearch.distill.supply import token_counts
from kdsearch.errors import SpecError
from kdsearch.facts import facts_of_config
from kdsearch.plugin import LayerSignal, Shapes, Signal, SignalRequest
from kdsearch.plugin.attention import VECTORS, AttentionRelationsConfig
from kdsearch.spec.signals import stored_bytes
from tests.distill.reference import SPLITS, TEXTS, Case, agree, expected, facts_of, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.distill.reference import Said


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def causal(request: Any) -> bool:
    return bool(request.param)


@pytest.fixture
def build(causal: bool, tiny: Any, tiny_causal: Any) -> Callable[..., Any]:
    return lambda *args, **kw: (tiny_causal if causal else tiny)(*args, **kw).model


@pytest.fixture
def case(causal: bool, build: Any) -> Case:
    """Return a student of another width and depth than its teacher."""
    return Case(causal, build(8, layers=1), build(16, seed=1))


def relations(kinds: Sequence[str], stack: str, heads: int, layer: int) -> Any:
    """Return the formula of MiniLMv2 over the queries, keys and values of a row."""

    def formula(student: Said, teacher: Said, _: Any, __: Any) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for kind in kinds:
            own, other = student.vectors(stack, 1)[kind], teacher.vectors(stack, layer)[kind]
            for one, two in zip(own.chunk(heads, -1), other.chunk(heads, -1), strict=True):
                for token in range(len(one)):
                    seen = token + 1 if stack == "decoder" else len(one)
                    q = (one[:seen] @ one[token] / one.shape[-1] ** 0.5).softmax(0)
                    p = (two[:seen] @ two[token] / two.shape[-1] ** 0.5).softmax(0)
                    total = total + (p * (p / q).log()).sum() / heads
        return total

    return formula


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({}, SPLITS[0]),
        ({"heads": 4, "teacher_layer": 1}, SPLITS[1]),
        ({"relations": ["values"], "stack": "decoder"}, SPLITS[2]),
    ],
    ids=str,
)
def test_relations_equal_their_formula(
    case: Case, options: Mapping[str, Any], split: Any, tmp_path: Path
) -> None:
    stack = options.get("stack", "decoder" if case.causal else "encoder")
    kinds, layer = options.get("relations", VECTORS), options.get("teacher_layer", 2)
    heads = options.get("heads", 4 if case.causal else 2)
    unit = "read_tokens" if case.causal or stack == "encoder" else "target_tokens"
    found = measured(case, "attention_relations", options, tmp_path, split)
    formula = relations(kinds, stack, heads, layer)
    agree(found, expected(case, "attention_relations", formula, unit, {}))


@pytest.mark.parametrize("kind", [Signal.ATTENTION_RELATIONS, Signal.ATTENTION_SCORES])
def test_stored_and_online_attention_are_the_same(
    case: Case, kind: Signal, stored: Any, tmp_path: Path
) -> None:
    layers = tuple(LayerSignal(kind, stack, 2) for stack in ("decoder", "encoder"))
    request = SignalRequest(True, (1.0,), layers[: 1 + (not case.causal)], top_k=9)
    store = stored(tmp_path, case.teacher, case.rows, request)
    cached = CachedSignals(store)
    counts = token_counts(case.rows, causal=case.causal)
    assert store.files.size == stored_bytes(request, facts_of(case.teacher), counts)
    online = OnlineSignals(case.teacher, request)
    table = [*case.rows.table(**cached.columns(case.rows))]
    sources, targets = zip(*TEXTS, strict=True)
    batch = collate(sources, targets, 0, causal=case.causal)
    one, other = (source.of_batch(table, batch)[kind.value] for source in (cached, online))
    for stack, layer in one.items():
        real = (batch["labels"] != -100) if stack == "decoder" else batch["attention_mask"].bool()
        real = batch["attention_mask"].bool() if case.causal else real
        if kind is Signal.ATTENTION_SCORES:
            real = real[:, :, None] & real[:, None, :]
        assert real.any()
        torch.testing.assert_close(layer[2][real], other[stack][2][real], atol=1e-5, rtol=1e-5)


def test_scores_are_what_the_model_attends_by(case: Case) -> None:
    model, (sources, targets) = case.teacher, zip(*TEXTS, strict=True)
    model.set_attn_implementation("eager")
    batch = collate(sources, targets, 0, causal=case.causal)
    said = forward(model, batch, attention=True)
    assert said.attention is not None
    if case.causal:
        given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        outputs = model(**given, output_attentions=True)
        weights = {"decoder": outputs.attentions}
    else:
        given = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
        outputs = model(**given, output_attentions=True)
        weights = {"decoder": outputs.decoder_attentions, "encoder": outputs.encoder_attentions}
    real = batch["attention_mask"].bool()
    for stack, layers in weights.items():
        for layer, expected_weights in enumerate(layers, start=1):
            scores = said.attention.scores(stack, layer).permute(0, 3, 1, 2)
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool)
            pairs = seen.tril()[None] if stack == "decoder" else real[:, None, :]
            if case.causal:
                pairs = pairs & real[:, None, :]
            found = scores.masked_fill(~pairs[:, None], -torch.inf).softmax(-1)
            torch.testing.assert_close(found, expected_weights, atol=1e-5, rtol=1e-5)


def test_recomputed_activations_give_the_same_gradients(case: Case, tmp_path: Path) -> None:
    found = measured(case, "attention_relations", {}, tmp_path)
    again = measured(case, "attention_relations", {}, tmp_path, gradient_checkpointing=True)
    agree(again, found)


T5 = {"model_type": "t5", "vocab_size": 9, "d_model": 8, "d_ff": 8, "num_layers": 2}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 9,
    "hidden_size": 24,
    "intermediate_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({"stack": "encoder"}, "stack", "has no encoder"),
        ({"teacher_layer": 4}, "teacher_layer", "layers 1 to 3"),
        ({"heads": 5}, "heads", "5 relation heads do not divide the queries of the teacher, 24"),
        ({"heads": 6}, "heads", "do not divide the keys of the teacher, 8 wide"),
    ],
)
def test_what_the_teacher_does_not_have_is_refused(options: Any, place: str, message: str) -> None:
    teacher = facts_of_config(LLAMA, head_tied=True)
    with pytest.raises(SpecError, match=message) as raised:
        AttentionRelationsConfig(**options).request(teacher, 2)
    assert raised.value.where == place


def test_students_that_cannot_be_matched_are_refused() -> None:
    teacher = facts_of_config(LLAMA, head_tied=True)
    student = facts_of_config({**LLAMA, "num_attention_heads": 3, "head_dim": 4}, head_tied=True)
    other = facts_of_config({**T5, "d_kv": 4, "num_heads": 2}, head_tied=True)
    AttentionRelationsConfig(heads=4).check(Shapes(student, (teacher,)))
    assert AttentionRelationsConfig().heads_of(Shapes(student, (teacher,))) == 4
    assert AttentionRelationsConfig().heads_of(Shapes(teacher, (teacher,))) == 4
    with pytest.raises(SpecError, match="of a student, 12 wide"):
        AttentionRelationsConfig(heads=8).check(Shapes(student, (teacher,)))
    with pytest.raises(SpecError, match="attend to other tokens"):
        AttentionRelationsConfig().check(Shapes(other, (teacher,)))
