"""What a spec is going to do: sizes with exact counts, trials, steps, cost, supported margins.

Reads model headers and local data, never torch. Costs are planned with every prompt and answer at
its longest, so that they bound what a run spends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import DataError
from kdsearch.plan.disk import Disk, planned_disk
from kdsearch.plan.stages import PLACEHOLDER, PlannedSignals, PlannedStage
from kdsearch.plan.teachers import name_of
from kdsearch.search.cost import training_flops
from kdsearch.search.expectation import Expectation, expect
from kdsearch.search.rules import Rules, SizeCost
from kdsearch.search.tpe import STARTUP
from kdsearch.spec.space import Configuration, Sampler
from kdsearch.stats.power import DISAGREEMENTS, smallest_supported_margin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.facts import ModelFacts
    from kdsearch.inputs.tally import Tally
    from kdsearch.plugin.api import Size
    from kdsearch.search.ledger import Opening
    from kdsearch.spec.models import SearchSpec
    from kdsearch.spec.parts import Parts
    from kdsearch.spec.settings import Settings


class Counts(NamedTuple):
    """Items, or units, of each split; None where neither data nor spec say how many."""

    train: int | None
    dev: int | None
    confirm: int | None


@dataclass(frozen=True)
class Plan:
    """A spec resolved into what will be done."""

    spec: SearchSpec
    stages: tuple[PlannedStage, ...]
    """In order; the last one decides."""
    sizes: tuple[Size, ...]
    """Ascending by parameters; equal ones by name."""
    configurations: tuple[Configuration, ...]
    """By index; where they are `suggested`, later ones only stand for what will be found."""
    counts: Counts
    """Items."""
    units: Counts
    """Of dev and confirm, what is independent: the items, unless they come in units."""
    tally: Tally | None = None
    """What became of the loaded examples, where the data are there."""
    opened_by: tuple[Opening, ...] = ()
    """Earlier openings of the same confirm items."""
    available: float | None = None
    """What they left of the chance of a false match; None where the items are not known."""
    warnings: tuple[str, ...] = ()

    @property
    def stage(self) -> PlannedStage:
        """The last stage."""
        return self.stages[-1]

    @property
    def parts(self) -> Parts:
        """The plugins of the last stage."""
        return self.stage.parts

    @property
    def teachers(self) -> Mapping[int, ModelFacts]:
        """Of the last stage by place: the first, and all that teach."""
        return self.stage.teachers

    @property
    def signals(self) -> PlannedSignals | None:
        """How trials will get what teachers say in the last stage; None if none need it."""
        return self.stage.signals

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
        distilled = [self.spec.resolve(configuration) for configuration in self.configurations]
        return (self.spec.baseline(self.configurations[0]), *distilled)

    @property
    def suggested(self) -> bool:
        """Whether later configurations are made from the results of earlier ones."""
        return self.spec.search.sampler is Sampler.TPE

    def trial_flops(self, size: Size) -> float:
        """Return the planned training of one trial, the mean of baseline and configurations.

        Each further way to put a question is another row.
        """
        tokens = [
            stage.tokens(each.training) * (1 + len(stage.parts.views(each)))
            for settings in self.settings
            for stage, each in self._by_stage(settings)
        ]
        return training_flops(size.compute_parameters, sum(tokens)) / len(self.settings)

    def _by_stage(self, settings: Settings) -> list[tuple[PlannedStage, Settings]]:
        """Return each stage with what it trains with."""
        return list(zip(self.stages, settings.stages, strict=True))

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
            reserve=match.reserve,
            available=self.available,
            probe_below=search.probe_below,
            futility=search.futility,
            sequential=self.suggested,
            speculate=search.speculate,
            force=force,
        )

    @property
    def steps(self) -> int | None:
        """Optimiser steps of every trial; None where a budget counts what is not known yet."""
        each = [
            stage.steps(own.training)
            for settings in self.settings
            for stage, own in self._by_stage(settings)
        ]
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

    @cached_property
    def disk(self) -> Disk:
        """What the run directory and the stored signals will take."""
        return planned_disk(self.stages, self.sizes, len(self.settings))

    @property
    def teacher_flops(self) -> float:
        """What the teachers of all stages cost: see `PlannedStage.teacher_flops`."""
        return sum(stage.teacher_flops for stage in self.stages)

    @cached_property
    def expected(self) -> Expectation:
        """The sizes that the strategy visits and the FLOPs it trains for, on average."""
        return expect(self.size_costs, self._rules())

    def supported_margins(self, items: int | None) -> dict[str, float] | None:
        """Return the smallest margins that so many items support, by disagreement.

        At the candidate's share of alpha: half of what the first opening of confirm may spend.
        """
        if items is None:
            return None
        alpha = self._rules().opening_alpha / 2.0
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
            **self._stages_json(),
            "match": match.model_dump(mode="json"),
            "strategy": search.strategy.value,
            "seed": search.seed,
            "futility": search.futility,
            "audit": search.audit,
            "probe_below": search.probe_below,
            "alpha_available": self.available,
            "ablate": list(self.spec.ablated),
            "sizes": [self._size_json(size) for size in self.sizes],
            "sampler": search.sampler.value,
            "configurations": [
                {} if self.suggested and index >= STARTUP else dict(configuration)
                for index, configuration in enumerate(self.configurations)
            ],
            "splits": self.units._asdict(),
            "items": self.counts._asdict(),
            "domains": list(self.parts.labels),
            "data": self.tally and self.tally.to_json(),
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
            "disk": self.disk._asdict(),
            "smallest_supported_margin": {
                "dev": self.supported_margins(self.units.dev),
                "confirm": self.supported_margins(self.units.confirm),
            },
            "confirm_opened_by": [
                {"run": opening.run, "time": opening.time, "spent": opening.spent}
                for opening in self.opened_by
            ],
            "warnings": list(self.warnings),
        }

    def _stages_json(self) -> dict[str, Any]:
        """Return who teaches and what comes before, where that is not one teacher and one stage."""
        stage, found = self.spec.stage, dict[str, Any]()
        if len(stage.teachers) > 1:
            found = {"teachers": self.stage.teachers_json(), "combine": stage.combine.value}
        if len(self.stages) > 1:
            found["stages"] = [
                {
                    "domain": planned.parts.domain.name,
                    "losses": list(own.losses),
                    "teachers": planned.teachers_json(),
                    "train": planned.train,
                    "steps": planned.steps(own.training),
                    "tokens": planned.tokens(own.training),
                    "teacher_flops": planned.teacher_flops,
                }
                for planned, own in self._by_stage(self.settings[1])
            ]
        return found

    def _size_json(self, size: Size) -> dict[str, Any]:
        whole = self.teacher.known_parameters
        return {
            "size": size.name,
            "parameters": size.parameters,
            "embedding_parameters": size.embedding_parameters,
            "share_of_teacher": size.parameters / whole if whole else None,
            "trial_flops": self.trial_flops(size),
        }
