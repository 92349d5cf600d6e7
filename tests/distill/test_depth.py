"""Students cut from a teacher: right layers, exact counts, plain folders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from kdsearch.distill.passes import collate, forward
from kdsearch.distill.prune import cut
from kdsearch.distill.students import byte_tokenizer, count_parameters
from kdsearch.errors import SpecError
from kdsearch.facts import facts_of_folder
from kdsearch.plugin.cuts import DepthConfig, DepthLadder, kept_layers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["t5", "t5-untied", "llama", "llama-untied"])
def teacher(request: Any, tiny: Any, tiny_causal: Any, tmp_path: Path) -> Any:
    """Return a stored teacher of five layers with its facts."""
    untied = request.param.endswith("untied")
    if request.param.startswith("t5"):
        model = tiny(8, layers=5).model
        if untied:
            model.lm_head = torch.nn.Linear(8, 259, bias=False)
    else:
        model = tiny_causal(16, layers=5, tied=not untied).model
    with torch.no_grad():  # layers must differ, their norms included
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    return model.eval(), facts_of_folder(tmp_path)


def logits(model: Any) -> torch.Tensor:
    batch = collate([[5, 6, 7], [8]], [[9, 1], [1]], 0, causal=not model.config.is_encoder_decoder)
    return forward(model.eval(), batch).logits


def test_all_layers_kept_is_the_teacher(teacher: Any) -> None:
    model, _ = teacher
    torch.testing.assert_close(logits(cut(model, range(5))), logits(model))


@pytest.mark.parametrize("asked", [1, 2, 3, 5, (1, 3)])
def test_counts_are_exact_and_exports_are_plain(teacher: Any, asked: Any, tmp_path: Path) -> None:
    _, facts = teacher
    config = DepthConfig(layers=(asked,))
    (size,) = DepthLadder().sizes(config, facts)
    student = DepthLadder().build(size, config, facts, seed=0)
    assert count_parameters(student.model) == size.parameters
    student.model.save_pretrained(tmp_path / "out")
    auto = AutoModelForSeq2SeqLM if facts.encoder_decoder else AutoModelForCausalLM
    plain: Any = auto.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(plain), logits(student.model))
    assert facts_of_folder(tmp_path / "out").parameters == size.parameters
    assert plain.generate(torch.tensor([[5, 6]]), max_new_tokens=3).shape[0] == 1


def test_a_student_is_the_teacher_with_layers_left_out(teacher: Any) -> None:
    model, facts = teacher
    kept = [0, 2, 4]
    expected = logits(cut(model, kept))
    stacks = [model.encoder, model.decoder] if facts.encoder_decoder else [model.model]
    for stack in stacks:
        name = "block" if facts.encoder_decoder else "layers"
        setattr(stack, name, torch.nn.ModuleList([getattr(stack, name)[at] for at in kept]))
    if not facts.encoder_decoder:
        model.config.num_hidden_layers = 3
    torch.testing.assert_close(logits(model), expected)


def test_position_biases_stay_when_block_0_goes(tiny: Any) -> None:
    model = tiny(8, layers=3).model
    student = cut(model, [1, 2])
    for stack in ("encoder", "decoder"):
        own, other = (
            getattr(each, stack).block[0].layer[0].SelfAttention.relative_attention_bias.weight
            for each in (student, model)
        )
        assert torch.equal(own, other)


def test_frozen_embeddings_do_not_train(teacher: Any) -> None:
    _, facts = teacher
    config = DepthConfig(layers=(2,), freeze_embeddings=True)
    (size,) = DepthLadder().sizes(config, facts)
    student = DepthLadder().build(size, config, facts, seed=0)
    assert not student.model.get_input_embeddings().weight.requires_grad


@given(layers=st.integers(1, 40), data=st.data())
def test_an_even_spread_keeps_first_and_last(layers: int, data: Any) -> None:
    count = data.draw(st.integers(1, layers))
    kept = kept_layers(count, layers)
    assert len(set(kept)) == count
    assert list(kept) == sorted(kept)
    assert kept[0] == 0
    assert count == 1 or kept[-1] == layers - 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((0,), "0 layers asked of a teacher with 2"),
        ((3,), "3 layers asked of a teacher with 2"),
        (((0, 2),), "allowed are layers 0 to 1"),
        (((1, 0),), "name each layer once, in order"),
        (((0, 0),), "name each layer once, in order"),
        ((1, 1), "listed twice: 1L"),
    ],
)
def test_impossible_layers_are_refused(asked: Any, message: str, tiny: Any) -> None:
    facts = replace(tiny(8).facts, path="here")
    with pytest.raises(SpecError, match=message):
        DepthLadder().sizes(DepthConfig(layers=asked), facts)
