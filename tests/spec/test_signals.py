"""What a stage asks of its teacher: all that any configuration at any size may read."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.facts import facts_of_config
from kdsearch.plugin import LayerSignal, ModelFacts, NamedLoss, Options, Signal, SignalRequest
from kdsearch.plugin.builtin import kdsearch_losses
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.cache import Cache, CacheMode, StateType
from kdsearch.spec.models import DomainChoice, Stage
from kdsearch.spec.objective import LossTerm
from kdsearch.spec.signals import stage_requests
from kdsearch.spec.teachers import Teacher

MEASURES = ScratchSize(d_model=8, d_ff=8, layers=3, heads=2)
TEACHER = facts_of_config(scratch_model_config("t5", MEASURES, 99), head_tied=True)
WHOLE = Cache()


class DeepConfig(Options):
    step: int = 1

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        layer = LayerSignal(Signal.HIDDEN_STATES, "decoder", student_layers * self.step)
        return SignalRequest(layers=(layer,))


DEEP = NamedLoss("deep", "1", DeepConfig, frozenset({Signal.HIDDEN_STATES}), "nothing:built")


def asked(losses: dict[str, Any], *depths: int, cache: Cache = WHOLE) -> SignalRequest:
    known: dict[str, Any] = {loss.name: loss for loss in [*kdsearch_losses(), DEEP]}
    stage = Stage(
        domain=DomainChoice(name="any"),
        teachers=(Teacher(model="any"),),
        losses={name: LossTerm(**term) for name, term in losses.items()},
    )
    found = stage_requests(stage, known, {0: TEACHER}, depths or (1,), cache)
    return found.get("0", SignalRequest())


def states(*layers: tuple[str, int]) -> tuple[LayerSignal, ...]:
    return tuple(LayerSignal(Signal.HIDDEN_STATES, *layer) for layer in layers)


def test_gold_answers_ask_for_nothing() -> None:
    assert not asked({"answer_ce": {}})


@pytest.mark.parametrize("space", ["choice", "grid"])
def test_every_temperature_that_may_be_drawn_is_asked_for(space: str) -> None:
    searched = {"soft_labels": {"temperature": {space: [4, 1, 2]}}}
    assert asked(searched, cache=Cache(top_k=9)) == SignalRequest(True, (1.0, 2.0, 4.0), top_k=9)
    assert asked(searched) == SignalRequest(True)


def test_keeping_the_whole_vocabulary_keeps_no_tails() -> None:
    assert asked({"soft_labels": {}}, cache=Cache(top_k=99)) == SignalRequest(True)


def test_hidden_states_are_those_of_the_last_layer_of_the_named_stacks() -> None:
    assert asked({"hidden_mse": {}}).layers == states(("decoder", 3))
    both = asked({"hidden_mse": {"stack": {"choice": ["decoder", "encoder"]}}})
    assert both.layers == states(("decoder", 3), ("encoder", 3))


def test_a_loss_may_ask_by_the_depth_of_the_students() -> None:
    request = asked({"deep": {"step": {"choice": [1, 2]}}}, 1, 3)
    assert request.layers == states(*(("decoder", layer) for layer in (1, 2, 3, 6)))


@pytest.mark.parametrize(
    ("written", "count"), [("20GB", 20e9), ("1.5 mb", 1.5e6), ("7B", 7), (12, 12)]
)
def test_sizes_are_read_in_decimal_units(written: Any, count: float) -> None:
    assert Cache(max_bytes=written).max_bytes == count


def test_auto_stores_what_fits() -> None:
    cache = Cache(max_bytes=100)
    assert [cache.choose(size) for size in (100, 101)] == [CacheMode.CACHED, CacheMode.ONLINE]
    assert Cache(mode=CacheMode.CACHED, max_bytes=100).choose(101) is CacheMode.CACHED


def test_float16_states_are_asked_for() -> None:
    assert asked({"hidden_mse": {}}, cache=Cache(states=StateType.FLOAT16)).half
