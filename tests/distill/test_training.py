"""The spec's training in the Trainer's terms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdsearch.distill.module import DistillationModel
from kdsearch.distill.sampling import GroupSampler, LengthSampler
from kdsearch.distill.training import _order, choose_precision
from kdsearch.errors import SpecError
from kdsearch.spec.training import Precision, Training


def test_rows_are_ordered_as_asked_for(rows: Any) -> None:
    def order(**asked: Any) -> Any:
        groups = [example.group for example in rows.examples]
        return _order(Training(**asked), rows.table(), groups, 0)

    assert order() is None
    assert isinstance(order(balance="group"), GroupSampler)
    by_length = order(group_by_length=True, batch_size=4, gradient_accumulation=3)
    assert isinstance(by_length, LengthSampler)
    assert by_length.window == 12


@pytest.mark.parametrize(("kind", "fix"), [("tiny", "use bf16"), ("tiny_causal", "use auto")])
def test_half_precision_is_refused_for_t5_and_without_a_gpu(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, fix: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = DistillationModel(request.getfixturevalue(kind)(8).model, {})
    with pytest.raises(SpecError, match=fix) as caught:
        choose_precision(Precision.FP16, model)
    assert caught.value.where == "train.precision"
