"""One pass of each kind of model: right positions, padding without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.data import encode
from kdsearch.distill.evaluate import predict
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import collate, forward, source_mask
from kdsearch.plugin import LayerSignal, Signal, SignalRequest
from kdsearch.spec.models import PromptFormat

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import LossInputs

SOURCES, TARGETS = [[5, 6, 7, 8], [9], [4, 3]], [[10, 1], [11, 12, 1], [1]]


def test_masks_do_not_depend_on_the_padding_id() -> None:
    batch = collate([[1, 1], [5]], [[1], [0, 1]], padding=1, causal=False)
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [[1, -100], [0, 1]]


def test_a_causal_sequence_predicts_its_targets_where_they_begin() -> None:
    batch = collate(SOURCES, TARGETS, padding=0, causal=True)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 10], [9, 11, 12, 0, 0], [4, 3, 0, 0, 0]]
    assert batch["predicting"].tolist() == [[3, 4, 0], [0, 1, 2], [1, 0, 0]]
    assert source_mask(batch).sum(1).tolist() == [4, 1, 2]


def test_causal_logits_are_those_of_the_plain_model(tiny_causal: Any) -> None:
    model = tiny_causal(16).model.eval()
    outputs = forward(model, collate(SOURCES, TARGETS, 0, causal=True), states=True)
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        plain = model(torch.tensor([[*source, *target]]), output_hidden_states=True)
        at = slice(len(source) - 1, len(source) - 1 + len(target))
        ours = outputs.logits[row, : len(target)]
        torch.testing.assert_close(ours, plain.logits[0, at], atol=1e-5, rtol=1e-5)
        for own, other in zip(outputs.states["decoder"], plain.hidden_states, strict=True):
            torch.testing.assert_close(own[row, : len(target)], other[0, at], atol=1e-5, rtol=1e-5)


def test_the_objective_of_a_causal_model_is_that_of_transformers(tiny_causal: Any) -> None:
    class Ce(torch.nn.Module):
        def forward(self, inputs: LossInputs) -> torch.Tensor:
            real = inputs.target_mask
            loss = torch.nn.functional.cross_entropy
            return loss(inputs.student_logits[real], inputs.labels[real])

    model = DistillationModel(tiny_causal(16).model.eval(), {"ce": Term(Ce(), 1.0)})
    ours = model(**collate(SOURCES[:1], TARGETS[:1], 0, causal=True), window_counts={})["loss"]
    ids = torch.tensor([[*SOURCES[0], *TARGETS[0]]])
    labels = torch.tensor([[-100] * len(SOURCES[0]) + TARGETS[0]])
    torch.testing.assert_close(ours, model.student(ids, labels=labels).loss)


@pytest.mark.parametrize("domain_name", ["sums", "bigger"])
def test_causal_answers_do_not_depend_on_their_batch(
    domain_name: str, request: Any, tiny_causal: Any, tokenizer: Any
) -> None:
    domain, model = request.getfixturevalue(domain_name), tiny_causal(16).model.eval()
    examples = domain.load(None)[:30]
    rows = encode(examples, domain, None, tokenizer, PromptFormat(), causal=True)
    together = predict(model, tokenizer, rows, domain)
    for example, given in zip(examples, together, strict=True):
        alone = encode([example], domain, None, tokenizer, PromptFormat(), causal=True)
        only = predict(model, tokenizer, alone, domain)[0]
        assert (only.text, only.choice) == (given.text, given.choice)
        assert only.scores == pytest.approx(given.scores, abs=1e-4)


def test_causal_prompts_end_open_and_answers_begin_with_a_space(sums: Any, tokenizer: Any) -> None:
    example = sums.load(None)[12]
    rows = encode([example], sums, None, tokenizer, PromptFormat(), causal=True)
    assert tokenizer.decode(rows.sources[0]) == "1+2="
    assert tokenizer.decode(rows.targets[0]) == " 3</s>"


def test_causal_signals_are_the_teachers(
    tiny_causal: Any, sums: Any, tokenizer: Any, stored: Any, tmp_path: Path
) -> None:
    model = tiny_causal(16).model.eval()
    examples = sums.load(None)[:9]
    rows = encode(examples, sums, None, tokenizer, PromptFormat(), causal=True)
    states = LayerSignal(Signal.HIDDEN_STATES, "decoder", 1)
    store = stored(tmp_path, model, rows, SignalRequest(True, layers=(states,)))
    signals = store.gather(store.rows_of(rows.keys()))
    with torch.inference_mode():
        for row, (source, target) in enumerate(zip(rows.sources, rows.targets, strict=True)):
            alone = forward(model, collate([source], [target], 0, causal=True), states=True)
            count = len(target)
            logits = signals["top_logits"]["logits"][row, :count]
            torch.testing.assert_close(logits, alone.logits[0], atol=1e-5, rtol=1e-5)
            found = signals["hidden_states"]["decoder"][1][row, :count]
            torch.testing.assert_close(found, alone.states["decoder"][1][0], atol=1e-5, rtol=1e-5)
