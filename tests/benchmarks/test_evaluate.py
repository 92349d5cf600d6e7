from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from benchmarks.evaluate import (
    NEW_TOKENS,
    Domain,
    generation_passes,
    made_models,
    made_rows,
    measure,
    option_passes,
)
from kdsearch.distill.evaluate import predict


@pytest.fixture(scope="module", params=[0, 1], ids=["t5", "llama"])
def student(request: pytest.FixtureRequest) -> Any:
    return list(made_models())[request.param][1]


def read_by(model: Any, run: Any) -> list[tuple[int, int]]:
    """Return the shape of every batch that a model's head is given, in the order of size."""
    shapes: list[tuple[int, int]] = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda _, given, __: shapes.append(tuple(given[0].shape[:2]))
    )
    run()
    hook.remove()
    return sorted(shapes)


def test_bare_passes_read_what_options_of_one_token_take(student: Any) -> None:
    rows, domain = made_rows(8192, 3, 1), cast("Any", Domain())
    bare = read_by(student.model, option_passes(student.model, rows))
    ours = read_by(student.model, lambda: predict(student.model, None, rows, domain))
    assert bare == ours


def test_bare_passes_read_every_option_with_its_prompt(student: Any) -> None:
    rows = made_rows(8192, 3, 2)
    longest = max(len(ids) for options in rows.choices for ids in options)
    assert read_by(student.model, option_passes(student.model, rows)) == [(3 * 4, longest)]


def test_bare_passes_generate_as_many_tokens(student: Any) -> None:
    rows = made_rows(8192, 3, 1, scored=False)
    with torch.inference_mode():
        bare = read_by(student.model, generation_passes(student.model, rows))
    assert bare == [(3, 1)] * NEW_TOKENS
    found = measure("generation", student, rows, 1)
    assert found.throughput > 0
