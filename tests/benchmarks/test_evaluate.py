from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.evaluate import (
    NEW_TOKENS,
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


@pytest.mark.parametrize("longest", [1, 3])
def test_bare_passes_read_what_options_take(student: Any, longest: int) -> None:
    rows = made_rows(8192, 3, longest)
    bare = read_by(student.model, option_passes(student.model, rows))
    domain: Any = None
    ours = read_by(student.model, lambda: predict(student.model, None, rows, domain))
    assert bare == ours


def test_bare_passes_generate_as_many_tokens(student: Any) -> None:
    rows = made_rows(8192, 3, 1, scored=False)
    with torch.inference_mode():
        bare = read_by(student.model, generation_passes(student.model, rows))
    assert bare == [(3, 1)] * NEW_TOKENS
    found = measure("generation", student, rows, 1)
    assert found.throughput > 0
