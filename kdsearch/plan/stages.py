"""One stage of a plan: whom it asks, what that costs, and what it trains on.

Costs are planned with every prompt and answer at its longest, so that they bound what a run spends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plan.teachers import name_of
from kdsearch.plugin.api import Signal
from kdsearch.search.budget import planned_tokens, steps_of
from kdsearch.search.cost import forward_flops, training_flops
from kdsearch.spec.cache import CacheMode
from kdsearch.spec.parts import ANSWER_SIGNALS, Parts
from kdsearch.spec.signals import TOGETHER, stored_bytes
from kdsearch.spec.teachers import NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.signals import SignalRequest
    from kdsearch.spec.models import SearchSpec
    from kdsearch.spec.training import Training

PLACEHOLDER = 1000
"""Items of a split that are not known, for an estimate of the cost."""


class PlannedSignals(NamedTuple):
    """What the teacher says of each token, and how it reaches the trials."""

    names: tuple[str, ...]
    """Such as `top_logits` or `hidden_states/decoder/30`."""
    mode: str
    """`cached`, `online`, or `auto` where that is seen only once the rows are read."""
    bytes_a_row: int
    """Of the longest prompt with the longest answer."""
    most_bytes: int | None
    """Of a store with every row as long; None where the training items are not known."""
    max_bytes: int
    """The largest store under `auto`."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan."""

    spec: SearchSpec
    """The search as if this stage were all of it."""
    parts: Parts
    teachers: Mapping[int, ModelFacts]
    """By place: all that teach, and of the last stage the first."""
    train: int | None
    """Items to train on; None where they are not known."""
    requests: Mapping[str, SignalRequest]
    """What the losses ask at each token, by teacher, or `TOGETHER` of all; see `stage_requests`."""

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with the longest answer."""
        return self.spec.prompt.max_tokens + self.parts.domain.max_new_tokens

    def tokens(self, training: Training) -> float:
        """Return the tokens that a training reads at most."""
        return planned_tokens(training, self.train or PLACEHOLDER, self.longest)

    def steps(self, training: Training) -> int | None:
        """Return the optimiser steps of a training; None where they hang on what is not known."""
        return steps_of(training, self.train)

    @property
    def teacher_flops(self) -> float:
        """The teachers' fine-tuning, and their passes over train for answers and other signals."""
        return sum(map(self.of_teacher, self.teachers))

    def of_teacher(self, place: int) -> float:
        """Return the planned FLOPs of one teacher."""
        stage, compute = self.spec.stage, self.teachers[place].compute_parameters
        tuning = stage.teachers[place].fine_tune
        flops = training_flops(compute, self.tokens(tuning)) if tuning else 0.0
        needs = self.parts.needs_of(stage, place)
        passes = int(bool(needs & ANSWER_SIGNALS))
        if place in stage.teaching:
            passes += sum(name in self.requests for name in (stage.names[place], TOGETHER))
        return flops + passes * forward_flops(compute, (self.train or 0) * self.longest)

    @property
    def signals(self) -> PlannedSignals | None:
        """How trials will get what teachers say at each token; None if none need it."""
        if not self.requests:
            return None
        cache = self.spec.cache
        row = sum(self._row_bytes(name) for name in self.requests)
        texts = {Signal.TEXT in needs for needs in self.parts.needs_by_configuration}
        most = None if self.train is None else self.train * row * len(texts)
        fits = most is not None and cache.choose(most) is CacheMode.CACHED
        mode = CacheMode.CACHED if cache.mode is CacheMode.AUTO and fits else cache.mode
        return PlannedSignals(self._signal_names, mode.value, row, most, cache.max_bytes)

    @property
    def _signal_names(self) -> tuple[str, ...]:
        """What is asked, with the teacher where there are several."""
        several = len(self.spec.stage.teaching) > 1
        return tuple(
            f"{name}{NAMED}{teacher}" if several and teacher != TOGETHER else name
            for teacher, request in self.requests.items()
            for name in request.names
        )

    def _row_bytes(self, teacher: str) -> int:
        """Return the bytes of the longest row of one teacher, or of all together."""
        stage, together = self.spec.stage, teacher == TOGETHER
        place = stage.teaching[0] if together else stage.names.index(teacher)
        facts, members = self.teachers[place], len(stage.teaching) if together else 1
        read, target = self.spec.prompt.max_tokens, self.parts.domain.max_new_tokens
        if not facts.encoder_decoder:
            read += target - 1
        return stored_bytes(self.requests[teacher], facts, [(read, target)], members)

    def teachers_json(self) -> list[dict[str, Any]]:
        """Return who teaches, with the share of each in the cost."""
        stage = self.spec.stage
        return [
            {
                "name": stage.names[place],
                "model": name_of(stage.teachers[place], facts),
                "parameters": facts.known_parameters,
                "weight": stage.teachers[place].weight,
                "flops": self.of_teacher(place),
            }
            for place, facts in self.teachers.items()
        ]
