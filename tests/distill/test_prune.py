"""Pruned students: what does nothing may go, counts are exact, folders are plain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from kdsearch.distill.importance import Importance, calibration_rows, measure
from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.passes import collate, forward
from kdsearch.distill.students import byte_tokenizer, count_parameters
from kdsearch.errors import SpecError
from kdsearch.facts import facts_of_folder
from kdsearch.plugin import Preparation
from kdsearch.plugin.cuts import PruneConfig, PruneLadder, PruneSize, pruned_measures

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = [[12, 40, 41, 50], [90, 17], [33, 60, 61]]
TARGETS = [[45, 1], [46, 1], [51, 52, 1]]


@pytest.fixture(params=["t5", "t5-untied", "llama", "llama-untied"])
def teacher(request: Any, tiny: Any, tiny_causal: Any, tmp_path: Path) -> Any:
    """Return a teacher of three layers, width 16, 32 units and 4 heads, and its folder."""
    untied = request.param.endswith("untied")
    if request.param.startswith("t5"):
        model = tiny(16, layers=3, heads=4).model
        if untied:
            model.lm_head = torch.nn.Linear(16, 259, bias=False)
    else:
        model = tiny_causal(16, layers=3, tied=not untied).model
    with torch.no_grad():  # layers must differ, their norms included
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
        model.get_input_embeddings().weight.normal_()
    return model.eval(), tmp_path / "teacher"


def stored(model: Any, folder: Path) -> Any:
    """Store a teacher and return its facts."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return facts_of_folder(folder)


def student_of(model: Any, folder: Path, texts: Any = (), **options: Any) -> Any:
    """Return a size that `options` ask for, and the student built for it."""
    facts, ladder = stored(model, folder), PruneLadder()
    config = PruneConfig(**options)
    (size,) = ladder.sizes(config, facts, texts or None)
    prepared = folder.parent / "ladder"
    prepared.mkdir()
    ladder.prepare(config, facts, Preparation(model, None, SOURCES, TARGETS, texts, prepared))
    return size, ladder.build(size, config, facts, 0, prepared=prepared)


def logits(model: Any, sources: Any = SOURCES, targets: Any = TARGETS) -> torch.Tensor:
    """Return the logits at real target tokens."""
    causal = not model.config.is_encoder_decoder
    batch = collate(sources, targets, 0, causal=causal)
    return forward(model.eval(), batch).logits[batch["labels"] >= 0]


@torch.no_grad()
def kill(model: Any) -> None:
    """Silence every second hidden channel, every third unit and two heads, a whole group."""
    dead_channels, dead_units = torch.arange(0, 16, 2), torch.arange(0, 32, 3)
    for name, weights in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", ".o.weight", ".wo.weight")):
            weights[dead_channels] = 0.0
        if name.endswith(("up_proj.weight", ".wi.weight")):
            weights[dead_units] = 0.0
        if name.endswith(("o_proj.weight", ".o.weight")):
            weights[:, :8] = 0.0  # head width is 4
        if name.endswith(("embed_tokens.weight", "shared.weight")):
            weights[:, dead_channels] = 0.0
        if name.endswith(("v_proj.weight", "Attention.v.weight")):
            weights[:4] = 0.0
        if name.endswith("Attention.v.weight"):
            weights[4:8] = 0.0


def test_what_does_nothing_goes_unnoticed(teacher: Any) -> None:
    model, folder = teacher
    kill(model)
    size, student = student_of(
        model, folder, sizes={"small": {"d_model": 8, "d_ff": 21, "heads": 2}}
    )
    assert count_parameters(student.model) == size.parameters < count_parameters(model) / 1.9
    torch.testing.assert_close(logits(student.model), logits(model), rtol=1e-4, atol=1e-4)


def test_counts_are_exact_and_exports_are_plain(teacher: Any, tmp_path: Path) -> None:
    model, folder = teacher
    asked = {"layers": 2, "d_model": 0.5, "d_ff": 10, "heads": 0.5}
    size, student = student_of(
        model,
        folder,
        ["12+3", "7"],
        sizes={"s": asked},
        keep_layers="important",
        vocabulary="domain",
    )
    assert count_parameters(student.model) == size.parameters
    student.model.save_pretrained(tmp_path / "out")
    student.tokenizer.save_pretrained(tmp_path / "out")
    auto = AutoModelForSeq2SeqLM if model.config.is_encoder_decoder else AutoModelForCausalLM
    plain: Any = auto.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(plain), logits(student.model))
    assert facts_of_folder(tmp_path / "out").parameters == size.parameters
    assert load_tokenizer(tmp_path / "out").eos_token_id == plain.config.eos_token_id
    assert plain.generate(torch.tensor([[5, 6]]), max_new_tokens=3).shape[0] == 1


def test_a_trimmed_vocabulary_keeps_the_logits_of_its_tokens(
    tiny_causal: Any, tmp_path: Path
) -> None:
    model = tiny_causal(16).model
    table = model.get_input_embeddings().weight
    _, student = student_of(
        model.eval(), tmp_path / "t", ["1"], sizes={"s": {}}, vocabulary="domain"
    )
    assert torch.equal(student.model.get_input_embeddings().weight, table)  # bytes all stay
    torch.testing.assert_close(logits(student.model), logits(model))


def test_layers_that_change_nothing_are_the_least_important(teacher: Any) -> None:
    model, folder = teacher
    with torch.no_grad():
        for name, weights in model.named_parameters():
            last = name.endswith(("o_proj.weight", "down_proj.weight", ".o.weight", ".wo.weight"))
            if last and (".1." in name.replace("layer.1.", "")):
                weights.zero_()
    _, student = student_of(model, folder, sizes={"s": {"layers": 2}}, keep_layers="important")
    torch.testing.assert_close(logits(student.model), logits(model))


def test_padding_does_not_count(teacher: Any) -> None:
    model, _ = teacher
    alone = measure(model, SOURCES[:1], TARGETS[:1])
    padded = measure(model, [SOURCES[0], SOURCES[0]], [TARGETS[0], TARGETS[0]])
    longer = measure(model, [SOURCES[0], [7] * 9], [TARGETS[0], [8] * 5])
    torch.testing.assert_close(padded.hidden, alone.hidden * 2**0.5)
    other = measure(model, [[7] * 9], [[8] * 5])
    for name, units in longer.units.items():
        together = (alone.units[name].square() + other.units[name].square()).sqrt()
        torch.testing.assert_close(units, together)


def test_importance_is_read_as_written(tiny: Any, tmp_path: Path) -> None:
    found = measure(tiny(8).model, SOURCES, TARGETS)
    found.write(tmp_path / "found.safetensors")
    again = Importance.read(tmp_path / "found.safetensors")
    torch.testing.assert_close(vars(again), vars(found))


@given(count=st.integers(1, 3000))
def test_calibration_rows_are_spread(count: int) -> None:
    rows = calibration_rows(count)
    assert len(set(rows)) == len(rows) == min(count, 256)
    assert rows[0] == 0
    assert max(rows) < count


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"layers": 3}, "layers: 3 does not fit the teacher: allowed are 1 to 2"),
        ({"d_ff": 33}, "d_ff: 33 does not fit the teacher: allowed are 1 to 32"),
        ({"heads": 3}, "heads: 3 does not fit the teacher: allowed are multiples of 2 up to 4"),
        ({"d_model": 9}, "d_model: 9 does not fit the teacher: allowed are multiples of 4 up to"),
    ],
)
def test_measures_that_do_not_fit_are_refused(asked: Any, place: str, tiny_causal: Any) -> None:
    facts = replace(tiny_causal(16).facts, path="here")
    with pytest.raises(SpecError, match=rf"ladder\.sizes\.x\.{place}"):
        PruneLadder().sizes(PruneConfig(sizes={"x": asked}), facts)


@given(share=st.floats(0.01, 1.0))
def test_shares_lead_to_allowed_measures(share: float) -> None:
    from tests.distill.conftest import build_causal

    facts = build_causal(64).facts
    asked = PruneSize(layers=share, d_model=share, d_ff=share, heads=share)
    found = pruned_measures(asked, facts, "here")
    again = PruneSize(
        layers=found["num_hidden_layers"],
        d_model=found["hidden_size"],
        d_ff=found["intermediate_size"],
        heads=found["num_attention_heads"],
    )
    assert pruned_measures(again, facts, "here") == found
