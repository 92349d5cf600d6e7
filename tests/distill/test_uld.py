"""Sorted probabilities: the loss against float64, from teachers of any tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.sources import CachedSignals, OnlineSignals, OwnTokens
from tests.distill.reference import SPLITS, TEXTS, Case, agree, expected_of, measured, said

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

OTHER = [([40 + place, 1], [50 + place, 51, 52, 1][: 1 + place % 4]) for place in range(len(TEXTS))]
"""The same questions in the teacher's tokens: answers of 1 to 4."""


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def case(request: Any, tiny: Any, tiny_causal: Any) -> Case:
    """Return a student of 259 entries and a teacher of 90."""
    build = tiny_causal if request.param else tiny
    return Case(request.param, build(8).model, build(16, seed=1, vocabulary=90).model)


def uld(case: Case, largest: int, told: list[tuple[list[int], list[int]]]) -> Any:
    """Return the formula over all tokens that both have."""
    teacher = case.teacher.double()

    def objective(student: Any, _: Any) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row, other in zip(case.texts, told, strict=True):
            pairs = zip(said(student, *row).logits, said(teacher, *other).logits, strict=False)
            for own, their in pairs:
                p = own.softmax(-1).sort(descending=True).values[:largest]
                q = their.detach().softmax(-1).sort(descending=True).values[:largest]
                rest = (p.sum() - q.sum()).abs()
                p, q = (torch.nn.functional.pad(x, (0, 259 - len(x))) for x in (p, q))
                total = total + (p - q).abs().sum() + rest
        return total / case.counts["target_tokens"]

    return objective


@pytest.mark.parametrize(("largest", "split"), [(300, SPLITS[0]), (7, SPLITS[2])])
@pytest.mark.parametrize("stored_first", [False, True])
def test_it_is_its_formula_though_tokens_differ(
    case: Case, largest: int, split: Any, stored_first: bool, stored: Any, tmp_path: Path
) -> None:
    options = {"largest": largest}
    request = case.request("uld", options)
    own = Case(case.causal, case.student, case.teacher, OTHER).rows
    source: Any = OnlineSignals(case.teacher, request)
    if stored_first:
        source = CachedSignals(stored(tmp_path, case.teacher, own, request))
    foreign = OwnTokens("b", source, lambda taught: own, causal=case.causal)
    found = measured(case, "uld", options, tmp_path, split, foreign)
    agree(found, expected_of(case, "uld", uld(case, largest, OTHER), {}))


def test_equal_models_cost_nothing(tiny: Any, tmp_path: Path) -> None:
    case = Case(False, tiny(8).model, tiny(8).model)
    case.teacher = case.student
    assert measured(case, "uld", {}, tmp_path).value == pytest.approx(0.0, abs=1e-6)
