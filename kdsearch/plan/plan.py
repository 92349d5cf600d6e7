"""What a spec is going to do: sizes with exact counts, trials, steps, cost, supported margins.

Reads model headers and local data, never torch. Costs are planned with every prompt and answer at
its longest, so that they bound what a run spends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import DataError
from kdsearch.plan.teachers import name_of
from kdsearch.plugin.api import Signal
from kdsearch.search.budget import planned_tokens, steps_of
from kdsearch.search.cost import forward_flops, training_flops
from kdsearch.search.expectation import Expectation, expect
from kdsearch.search.policy import Rules, SizeCost
from kdsearch.search.power import DISAGREEMENTS, smallest_supported_margin
from kdsearch.search.tpe import STARTUP
from kdsearch.spec.cache import CacheMode
from kdsearch.spec.parts import ANSWER_SIGNALS, Parts
from kdsearch.spec.signals import TOGETHER, stored_bytes
from kdsearch.spec.space import Configuration, Sampler
from kdsearch.spec.teachers import NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Size
    from kdsearch.plugin.signals import SignalRequest
    from kdsearch.search.ledger import Opening
    from kdsearch.spec.models import SearchSpec, Settings
    from kdsearch.spec.training import Training
    from kdsearch.splits import Tally

PLACEHOLDER = 1000
"""Items of a split that are not known, for an estimate of the cost."""


class Counts(NamedTuple):
    """Items, or units, of each split; None where neither data nor spec say how many."""

    train: int | None
    dev: int | None
    confirm: int | None


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
class Plan:
    """A spec resolved into what will be done."""

    spec: SearchSpec
    parts: Parts
    teachers: Mapping[int, ModelFacts]
    """By place: the first, and all that teach."""
    sizes: tuple[Size, ...]
    """Ascending by parameters; equal ones by name."""
    configurations: tuple[Configuration, ...]
    """By index; where they are `suggested`, later ones only stand for what will be found."""
    counts: Counts
    """Items."""
    units: Counts
    """Of dev and confirm, what is independent: the items, unless they come in units."""
    requests: Mapping[str, SignalRequest]
    """What the losses ask at each token, by teacher, or `TOGETHER` of all; see `stage_requests`."""
    tally: Tally | None = None
    """What became of the loaded examples, where the data are there."""
    opened_by: tuple[Opening, ...] = ()
    """Earlier runs that opened the same confirm items."""
    warnings: tuple[str, ...] = ()

    @property
    def teacher(self) -> ModelFacts:
        """The measures of the first teacher: students are compared with it, and take after it."""
        return self.teachers[0]

    @property
    def teacher_name(self) -> str:
        """The first teacher's folder as the spec names it, or what it is made from."""
        return name_of(self.spec.stage.teachers[0], self.teacher)

    @cached_property
    def settings(self) -> tuple[Settings, ...]:
        """What the trials of a size train with: the baseline first, then by index."""
        stage = self.spec.stage
        distilled = [stage.resolve(configuration) for configuration in self.configurations]
        return (stage.baseline(self.configurations[0]), *distilled)

    @property
    def suggested(self) -> bool:
        """Whether later configurations are made from the results of earlier ones."""
        return self.spec.search.sampler is Sampler.TPE

    def trial_flops(self, size: Size) -> float:
        """Return the planned training of one trial, the mean of baseline and configurations.

        Each further way to put a question is another row.
        """
        tokens = [
            self._tokens(settings.training) * (1 + len(self.parts.views(settings)))
            for settings in self.settings
        ]
        return training_flops(size.compute_parameters, sum(tokens)) / len(tokens)

    @property
    def size_costs(self) -> tuple[SizeCost, ...]:
        """The ladder as the policy sees it."""
        return tuple(
            SizeCost(size.name, self.trial_flops(size), size.parameters) for size in self.sizes
        )

    def rules(self, *, force: bool = False) -> Rules:
        """Return what the policy decides by.

        Raises:
            DataError: If the items of dev or confirm are not known.
        """
        if self.units.dev is None or self.units.confirm is None:
            raise DataError("the items of dev and confirm are not known: the data are not there")
        return self._rules(force=force)

    def _rules(self, *, force: bool = False) -> Rules:
        match, search = self.spec.match, self.spec.search
        return Rules(
            margin=match.margin,
            retain=match.retain,
            confidence=match.confidence,
            dev_items=self.units.dev or PLACEHOLDER,
            confirm_items=self.units.confirm or PLACEHOLDER,
            configurations=search.configurations_per_size,
            strategy=search.strategy,
            seed=search.seed,
            seeds=match.seeds,
            futility=search.futility,
            sequential=self.suggested,
            speculate=search.speculate,
            force=force,
        )

    @property
    def steps(self) -> int | None:
        """Optimiser steps of every trial; None where a budget counts what is not known yet."""
        each = [steps_of(settings.training, self.counts.train) for settings in self.settings]
        known = [steps for steps in each if steps is not None]
        return len(self.sizes) * sum(known) if len(known) == len(each) else None

    @property
    def grid_flops(self) -> float:
        """Training of every configuration and baseline at every size, to the end."""
        return len(self.settings) * sum(cost.flops for cost in self.size_costs)

    @property
    def ablation_flops(self) -> float:
        """Training without each term to ablate, at the largest size that may be selected."""
        trials = len(self.spec.ablated) * self.spec.match.seeds
        return trials * max(cost.flops for cost in self.size_costs)

    @property
    def teacher_flops(self) -> float:
        """The teachers' fine-tuning, and their passes over train for answers and other signals."""
        return sum(self._of_teacher(place) for place in self.teachers)

    def _of_teacher(self, place: int) -> float:
        """Return the planned FLOPs of one teacher."""
        stage, compute = self.spec.stage, self.teachers[place].compute_parameters
        tuning = stage.teachers[place].fine_tune
        flops = training_flops(compute, self._tokens(tuning)) if tuning else 0.0
        needs = self.parts.needs_of(stage, place)
        passes = int(bool(needs & ANSWER_SIGNALS))
        if place in stage.teaching:
            passes += sum(name in self.requests for name in (stage.names[place], TOGETHER))
        return flops + passes * forward_flops(compute, (self.counts.train or 0) * self._longest)

    @property
    def signals(self) -> PlannedSignals | None:
        """How trials will get what teachers say at each token; None if none need it."""
        if not self.requests:
            return None
        cache = self.spec.cache
        row = sum(self._row_bytes(name) for name in self.requests)
        texts = {Signal.TEXT in needs for needs in self.parts.needs_by_configuration}
        train = self.counts.train
        most = None if train is None else train * row * len(texts)
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

    @cached_property
    def expected(self) -> Expectation:
        """The sizes that the strategy visits and the FLOPs it trains for, on average."""
        return expect(self.size_costs, self._rules())

    def supported_margins(self, items: int | None) -> dict[str, float] | None:
        """Return the smallest margins that so many items support, by disagreement, at alpha/2."""
        if items is None:
            return None
        alpha = (1.0 - self.spec.match.confidence) / 2.0
        return {
            str(share): smallest_supported_margin(items, share, alpha) for share in DISAGREEMENTS
        }

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the journal and `kdsearch plan --json` hold it."""
        match, search = self.spec.match, self.spec.search
        grid, expected, signals = self.grid_flops, self.expected, self.signals
        return {
            "name": self.spec.name,
            "teacher": {"name": self.teacher_name, "parameters": self.teacher.known_parameters},
            **self._teachers_json(),
            "match": match.model_dump(mode="json"),
            "strategy": search.strategy.value,
            "seed": search.seed,
            "futility": search.futility,
            "ablate": list(self.spec.ablated),
            "sizes": [self._size_json(size) for size in self.sizes],
            "sampler": search.sampler.value,
            "configurations": [
                {} if self.suggested and index >= STARTUP else dict(configuration)
                for index, configuration in enumerate(self.configurations)
            ],
            "splits": self.units._asdict(),
            "items": self.counts._asdict(),
            "data": self.tally and self.tally._asdict(),
            "trials": len(self.sizes) * len(self.settings),
            "steps": self.steps,
            "cost": {
                "exhaustive_grid_flops": grid,
                "teacher_flops": self.teacher_flops,
                "ablation_flops": self.ablation_flops,
                "expected_flops": expected.flops,
                "expected_share_of_grid": expected.flops / grid,
                "expected_sizes_visited": expected.sizes,
            },
            "signals": signals and {**signals._asdict(), "names": [*signals.names]},
            "smallest_supported_margin": {
                "dev": self.supported_margins(self.units.dev),
                "confirm": self.supported_margins(self.units.confirm),
            },
            "confirm_opened_by": [opening._asdict() for opening in self.opened_by],
            "warnings": list(self.warnings),
        }

    def _teachers_json(self) -> dict[str, Any]:
        """Return who teaches, where that is not the one teacher alone."""
        stage = self.spec.stage
        if len(stage.teachers) == 1:
            return {}
        listed = [
            {
                "name": stage.names[place],
                "model": name_of(stage.teachers[place], facts),
                "parameters": facts.known_parameters,
                "weight": stage.teachers[place].weight,
                "flops": self._of_teacher(place),
            }
            for place, facts in self.teachers.items()
        ]
        return {"teachers": listed, "combine": stage.combine.value}

    def _size_json(self, size: Size) -> dict[str, Any]:
        whole = self.teacher.known_parameters
        return {
            "size": size.name,
            "parameters": size.parameters,
            "embedding_parameters": size.embedding_parameters,
            "share_of_teacher": size.parameters / whole if whole else None,
            "trial_flops": self.trial_flops(size),
        }

    @property
    def _longest(self) -> int:
        """Tokens of the longest prompt with the longest answer."""
        return self.spec.prompt.max_tokens + self.parts.domain.max_new_tokens

    def _tokens(self, training: Training) -> float:
        return planned_tokens(training, self.counts.train or PLACEHOLDER, self._longest)
