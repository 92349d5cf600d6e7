"""Which layers are matched: the rules of the papers, and what is out of range."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import SpecError
from kdsearch.facts import facts_of_config
from kdsearch.plugin.builtin import HiddenMseConfig
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.plugin.layers import layer_pairs


@pytest.mark.parametrize(
    ("rule", "student", "teacher", "expected"),
    [
        ("last", 3, 12, [(3, 12)]),
        ("uniform", 4, 12, [(1, 3), (2, 6), (3, 9), (4, 12)]),
        ("last_k", 6, 12, [(1, 7), (2, 8), (3, 9), (4, 10), (5, 11)]),
        ("every_k", 6, 12, [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)]),
        ("last_k", 1, 4, [(1, 4)]),
        ([[0, 0], [2, 4]], 2, 4, [(0, 0), (2, 4)]),
    ],
)
def test_a_rule_pairs_layers_as_its_paper_does(
    rule: Any, student: int, teacher: int, expected: list[tuple[int, int]]
) -> None:
    assert list(layer_pairs(rule, student, teacher)) == expected


@given(student=st.integers(1, 30), teacher=st.integers(1, 30))
@pytest.mark.parametrize("rule", ["last", "uniform", "last_k", "every_k"])
def test_every_pair_is_in_range(rule: Any, student: int, teacher: int) -> None:
    if student > teacher and rule in ("last_k", "every_k"):
        with pytest.raises(SpecError, match="needs a teacher of no fewer layers"):
            layer_pairs(rule, student, teacher)
        return
    for own, other in layer_pairs(rule, student, teacher):
        assert 1 <= own <= student
        assert 1 <= other <= teacher


def test_layers_and_stacks_that_are_not_there_are_refused() -> None:
    with pytest.raises(SpecError, match=r"\[1, 9\] is out of range: .* teacher's 0 to 4"):
        layer_pairs([[1, 9]], 2, 4)  # type: ignore[arg-type]  # wrong on purpose
    measures = ScratchSize(d_model=8, d_ff=8, layers=4, heads=2)
    t5 = facts_of_config(scratch_model_config("t5", measures, 11), head_tied=True)
    request = HiddenMseConfig(layers="uniform", stack="encoder").request(t5, 2)
    assert [wanted.layer for wanted in request.layers] == [2, 4]
    assert HiddenMseConfig(project="teacher").warnings(t5)
    assert not HiddenMseConfig().warnings(t5)
