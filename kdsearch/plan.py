"""What a spec is going to do: sizes with exact counts, trials, steps, cost, supported margins.

Reads model headers and local data, never torch. Costs are planned with every prompt and answer at
its longest, so that they bound what a run spends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import DataError, SpecError
from kdsearch.facts import (
    BYTE_VOCABULARY,
    ModelFacts,
    black_box_facts,
    check_tokenizer,
    facts_of_config,
    facts_of_folder,
    vocabulary_of,
)
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.predictions import check_predictions
from kdsearch.search.budget import planned_tokens, steps_of
from kdsearch.search.cost import forward_flops, training_flops
from kdsearch.search.expectation import Expectation, expect
from kdsearch.search.ledger import Opening, earlier_openings, reuse_warning
from kdsearch.search.policy import Rules, SizeCost
from kdsearch.search.power import DISAGREEMENTS, smallest_supported_margin
from kdsearch.search.tpe import STARTUP, require_optuna
from kdsearch.sizes import sizes_of
from kdsearch.spec.parts import ANSWER_SIGNALS, Parts, resolve_parts
from kdsearch.spec.signals import stage_request
from kdsearch.spec.space import Configuration, Sampler, draw
from kdsearch.spec.training import Precision
from kdsearch.splits import Divided, Tally, divide, fingerprint, independent, load_examples

if TYPE_CHECKING:
    from kdsearch.plugin.api import Size
    from kdsearch.plugin.host import Host
    from kdsearch.spec.models import SearchSpec, Settings, Splits
    from kdsearch.spec.training import Training

TYPICAL_DISAGREEMENT = DISAGREEMENTS[1]
"""Share of discordant items by which a margin is called unsupported."""

PLACEHOLDER = 1000
"""Items of a split that are not known, for an estimate of the cost."""


class Counts(NamedTuple):
    """Items, or units, of each split; None where neither data nor spec say how many."""

    train: int | None
    dev: int | None
    confirm: int | None


@dataclass(frozen=True)
class Plan:
    """A spec resolved into what will be done."""

    spec: SearchSpec
    parts: Parts
    teacher: ModelFacts
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
    """Earlier runs that opened the same confirm items."""
    warnings: tuple[str, ...] = ()

    @property
    def teacher_name(self) -> str:
        """The teacher's folder as the spec names it, or what it is made from."""
        source = self.spec.stage.teachers[0]
        if source.predictions is not None:
            return f"black box {Path(source.predictions).name}"
        return source.model or f"scratch {self.teacher.family}"

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
        """Return the planned training of one trial, the mean of baseline and configurations."""
        tokens = [self._tokens(settings.training) for settings in self.settings]
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
        trials = len(self.spec.ablate) * self.spec.match.seeds
        return trials * max(cost.flops for cost in self.size_costs)

    @property
    def teacher_flops(self) -> float:
        """The teacher's fine-tuning, and its passes over train for answers and other signals."""
        tuning = self.spec.stage.teachers[0].fine_tune
        compute = self.teacher.compute_parameters
        flops = training_flops(compute, self._tokens(tuning)) if tuning else 0.0
        answers = self.parts.needs & ANSWER_SIGNALS
        passes = bool(answers) + bool(self.parts.needs - answers)
        return flops + passes * forward_flops(compute, (self.counts.train or 0) * self._longest)

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
        grid, expected = self.grid_flops, self.expected
        return {
            "name": self.spec.name,
            "teacher": {"name": self.teacher_name, "parameters": self.teacher.known_parameters},
            "match": match.model_dump(mode="json"),
            "strategy": search.strategy.value,
            "seed": search.seed,
            "futility": search.futility,
            "ablate": list(self.spec.ablate),
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
            "smallest_supported_margin": {
                "dev": self.supported_margins(self.units.dev),
                "confirm": self.supported_margins(self.units.confirm),
            },
            "confirm_opened_by": [opening._asdict() for opening in self.opened_by],
            "warnings": list(self.warnings),
        }

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


def make_plan(
    spec: SearchSpec,
    host: Host,
    divided: Divided | None = None,
    *,
    runs: Path | None = None,
    but: Path | None = None,
) -> Plan:
    """Resolve a spec.

    Args:
        spec: What to search.
        host: What is installed.
        divided: The splits; loaded here where the data are there, unless given.
        runs: A folder of runs, some of which may have opened the same confirm items.
        but: The planned run's own directory.

    Raises:
        SpecError: If precision, losses or warm-up do not suit models or budget.
        ModelError: If the teacher's folder is none.
        DataError: If the data, or a black box's answers to them, are malformed or too few.
    """
    parts = resolve_parts(spec, host)
    teacher = teacher_facts(spec, parts)
    count, seed = spec.search.configurations_per_size, spec.search.seed
    if (sampler := spec.search.sampler) is Sampler.TPE:
        require_optuna()
    drawn = tuple(draw(spec.stage.spaces, index, seed, sampler) for index in range(count))
    divided, unread = (divided, ()) if divided else _divided(spec, parts)
    assigned, tally = divided or (None, None)
    check_predictions(spec, parts, assigned)
    sizes = sizes_of(spec, parts, teacher, assigned.train if assigned else None)
    depths = (size.layers for size in sizes if size.layers is not None)
    stage_request(spec.stage, parts.losses, teacher, depths, spec.cache)
    counts = Counts(*map(len, assigned)) if assigned else _asked(spec.stage.splits)
    units, openings = counts, list[Opening]()
    if assigned is not None:
        dev, confirm = (len(independent(split)) for split in (assigned.dev, assigned.confirm))
        units = Counts(counts.train, dev, confirm)
        for split, count in (("dev", dev), ("confirm", confirm)):
            if count < 2:
                message = f"{split} is one unit: a paired test needs at least two"
                raise DataError(message, where=f"domain '{parts.domain.name}'")
        if runs is not None:
            openings = earlier_openings(fingerprint(assigned.confirm), runs, but=but)
    plan = Plan(spec, parts, teacher, sizes, drawn, counts, units, tally, tuple(openings))
    _check_training(plan)
    return replace(plan, warnings=(*unread, *_warnings(plan)))


def teacher_facts(spec: SearchSpec, parts: Parts) -> ModelFacts:
    """Return the measures of the teacher: made from scratch, stored, or of a black box.

    Raises:
        ModelError: If its folder, or its domain's tokenizer, is none.
    """
    source = spec.stage.teachers[0]
    if source.model is not None:
        facts = facts_of_folder(Path(source.model))
        check_tokenizer(Path(source.model), facts.vocabulary)
        return facts
    own = getattr(parts.domain, "tokenizer", None)
    vocabulary = vocabulary_of(Path(own(parts.options))) if own else BYTE_VOCABULARY
    if source.scratch is None:
        return black_box_facts(vocabulary)
    measures = ScratchSize(**source.scratch.model_dump(exclude={"family"}))
    config = scratch_model_config(source.scratch.family, measures, vocabulary)
    return facts_of_config(config, head_tied=True)


def _check_training(plan: Plan) -> None:
    """Refuse fp16 where T5 models train, and a warm-up that fills its whole budget."""
    family = plan.teacher.family
    students = getattr(plan.parts.ladder_config, "family", family)
    tuning = plan.spec.stage.teachers[0].fine_tune
    trained = [("teachers.0.fine_tune", tuning, family)] if tuning else []
    trained += [("train", settings.training, students) for settings in plan.settings]
    for where, training, kind in trained:
        if training.precision is Precision.FP16 and kind == "t5":
            raise SpecError(
                "fp16 overflows in T5 models", where=f"{where}.precision", fix="use bf16"
            )
        steps = steps_of(training, plan.counts.train)
        if steps is not None and 1.0 <= training.warmup >= steps:
            raise SpecError(
                f"the warm-up of {training.warmup:.0f} steps does not end in a budget of {steps:,}",
                where=f"{where}.warmup",
                fix="give fewer steps, or a share of them below 1",
            )


def _divided(spec: SearchSpec, parts: Parts) -> tuple[Divided | None, tuple[str, ...]]:
    """Return the splits, or say why only the spec's own numbers are known."""
    try:
        examples = load_examples(parts.domain, parts.options)
    except DataError as error:
        if not _absent(error):
            raise
        return None, (f"the data are not there, so counts are those of the spec: {error}",)
    splits, seed = spec.stage.splits, spec.search.seed
    return divide(examples, splits, seed, domain=parts.domain.name), ()


def _asked(splits: Splits) -> Counts:
    sizes = (splits.train, splits.dev, splits.confirm)
    return Counts(*(size if isinstance(size, int) else None for size in sizes))


def _absent(error: DataError) -> bool:
    """Whether data are missing, not malformed: the place is a path, no line, and nothing there."""
    if isinstance(error.__cause__, FileNotFoundError):
        return True
    where = error.where
    return where is not None and not re.search(r":\d+$", where) and not Path(where).exists()


def _warnings(plan: Plan) -> list[str]:
    """Say what will probably disappoint."""
    spec, found = plan.spec, []
    distinct = len({repr(configuration) for configuration in plan.configurations})
    if distinct < len(plan.configurations):
        found.append(
            f"{len(plan.configurations)} configurations a size, and only {distinct} differ: lower "
            "search.configurations_per_size or search more values"
        )
    distilled = plan.settings[1:]
    told = [line for each in distilled for line in plan.parts.warnings(each, plan.teacher)]
    found += dict.fromkeys(told)
    if not plan.parts.needs:
        found.append("no loss uses the teacher: every student trains on the labels alone")
    whole = plan.teacher.known_parameters
    large = [size.name for size in plan.sizes if whole and size.parameters >= whole]
    if large:
        found.append(f"not smaller than the teacher: {', '.join(large)}")
    if len({size.parameters for size in plan.sizes}) < len(plan.sizes):
        found.append("sizes with equal parameters are taken in the order of their names")
    if plan.opened_by:
        found.append(reuse_warning([opening.run for opening in plan.opened_by]))
    if unsupported := _unsupported(plan):
        found.append(unsupported)
    if spec.stage.teachers[0].scratch is not None and spec.stage.teachers[0].fine_tune is None:
        found.append("the teacher is random")
    return found


def _unsupported(plan: Plan) -> str | None:
    """Say that confirm is too small for the margin, with the smallest that it supports."""
    match, items = plan.spec.match, plan.units.confirm
    margins = plan.supported_margins(items)
    margin = match.margin if match.margin is not None else 1.0 - (match.retain or 0.0)
    if items is None or margins is None or margin >= margins[str(TYPICAL_DISAGREEMENT)]:
        return None
    asked = "match.margin is" if match.margin is not None else "match.retain allows at most"
    least, typical = (100 * margins[str(share)] for share in DISAGREEMENTS[:2])
    word = "items" if items == plan.counts.confirm else "units"
    return (
        f"the {items:,} confirm {word} support no margin below {typical:.1f} points where "
        f"{TYPICAL_DISAGREEMENT:.0%} of the answers differ ({least:.1f} at "
        f"{DISAGREEMENTS[0]:.0%}); {asked} {100 * margin:.1f} points: expect `undecided`"
    )
