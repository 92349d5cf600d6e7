"""Weights that change in training, balanced terms, and what is wrong with either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import SpecError
from kdsearch.spec.loading import load_spec, write_spec
from kdsearch.spec.objective import counts, weight_at

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

WEIGHT = "losses.soft_labels.weight"
SHARE = st.floats(0.0, 1.0)


@given(start=st.floats(0, 5), end=st.floats(0, 5), over=st.floats(0.01, 1), progress=SHARE)
@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_schedule_stays_between_its_ends_and_then_at_the_last(
    shape: str, start: float, end: float, over: float, progress: float
) -> None:
    weight = {"from": start, "to": end, "over": over, "shape": shape}
    low, high = sorted((start, end))
    assert weight_at(weight, 0.0) == start
    assert low - 1e-9 <= weight_at(weight, progress) <= high + 1e-9
    if progress >= over:
        assert weight_at(weight, progress) == pytest.approx(end)


@pytest.mark.parametrize(("shape", "quarter"), [("linear", 0.75), ("cosine", 0.8535533906)])
def test_a_schedule_has_the_asked_shape(shape: str, quarter: float) -> None:
    weight = {"from": 1.0, "to": 0.0, "over": 0.5, "shape": shape}
    values = [weight_at(weight, progress) for progress in (0.125, 0.25, 0.5, 0.9)]
    assert values == pytest.approx([quarter, 0.5, 0.0, 0.0])
    assert weight_at(0.3, 0.7) == 0.3


def test_a_weight_counts_if_it_does_at_any_step() -> None:
    rising = {"from": 0.0, "to": 1.0, "over": 1.0, "shape": "linear"}
    assert counts(rising)
    assert not counts({**rising, "to": 0.0})
    assert not counts(0.0)


def test_a_schedule_is_written_back_and_its_ends_may_be_searched(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    spec = load_spec(
        toy_spec, toy_host, [WEIGHT + "={from: 1, to: {uniform: [0.1, 0.4]}, over: 0.5}"]
    )
    file = tmp_path / "spec.yaml"
    file.write_text(write_spec(spec), encoding="utf8")
    assert load_spec(file, toy_host) == spec
    assert f"{WEIGHT}.to" in spec.stage.spaces
    drawn = dict.fromkeys(spec.stage.spaces, 0.25)
    weight = spec.stage.resolve(drawn).losses["soft_labels"]["weight"]
    assert weight == {"from": 1.0, "to": 0.25, "over": 0.5, "shape": "linear"}


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (WEIGHT + "={from: 1, too: 2}", "unknown key 'too' in losses.soft_labels.weight: did"),
        (WEIGHT + "={from: 1}", "missing key 'to' in losses.soft_labels.weight"),
        (WEIGHT + "={from: -1, to: 1}", "weight.from: should be greater than or equal to 0, not"),
        (WEIGHT + "={from: {unifrm: [0, 1]}, to: 1}", "weight.from: unknown search space 'unifrm'"),
        (WEIGHT + "={from: {uniform: [-1, 1]}, to: 1}", "weight.from.uniform.0: should be greater"),
        (WEIGHT + "={from: 1, to: 0, shape: cubic}", "weight.shape: unknown value 'cubic'"),
        (WEIGHT + "={chocie: [1, 2]}", "weight: unknown search space 'chocie': did you mean"),
        ("losses.soft_labels.balance=atuo", "unknown value 'atuo': did you mean 'auto'?"),
        ("losses.answer_ce.balance=auto", "to the size of answer_ce, which is this one"),
        ("losses={soft_labels: {balance: auto}}", "answer_ce, which is not among losses"),
        ("losses={soft_labels: {weight: {from: 0, to: 0}}}", "every weight is 0"),
    ],
)
def test_a_fault_is_told_at_its_key(
    toy_spec: Path, toy_host: Host, setting: str, told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(toy_spec, toy_host, [setting])
    assert told in str(caught.value)
