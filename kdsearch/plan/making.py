"""A spec resolved into a plan, refused where it cannot work."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.errors import DataError, SpecError
from kdsearch.plan.deepspeed import check_deepspeed
from kdsearch.plan.plan import Counts, Plan
from kdsearch.plan.stages import PlannedStage
from kdsearch.plan.teachers import facts_by_place
from kdsearch.plan.warnings import warnings_of
from kdsearch.plugin.api import Signal
from kdsearch.plugin.union import Union, label_of
from kdsearch.predictions import check_predictions, check_taught
from kdsearch.search.budget import held_out
from kdsearch.search.ledger import ConfirmLedger, Opening, item_keys
from kdsearch.search.tpe import require_optuna
from kdsearch.sizes import check_sizes, sizes_of
from kdsearch.spec.parts import Parts, resolve_parts
from kdsearch.spec.signals import at_stage, stage_requests
from kdsearch.spec.space import Sampler, draw
from kdsearch.spec.training import Precision
from kdsearch.splits import Divided, independent, load
from kdsearch.stages import earlier_train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Example, Prompt, Size
    from kdsearch.plugin.host import Host
    from kdsearch.spec.models import SearchSpec, Splits
    from kdsearch.spec.settings import Settings
    from kdsearch.spec.training import Training
    from kdsearch.splits import Assigned, Loaded


def make_plan(
    spec: SearchSpec,
    host: Host,
    divided: Divided | None = None,
    *,
    ledger: ConfirmLedger | None = None,
    available: float | None = None,
) -> Plan:
    """Resolve a spec.

    Args:
        spec: What to search.
        host: What is installed.
        divided: The splits; loaded here where the data are there, unless given.
        ledger: Knows which earlier runs opened the same confirm items; not asked unless given.
        available: What they left of the chance of a false match, where that was asked before.

    Raises:
        SpecError: If precision, losses or warm-up do not suit models or budget.
        ModelError: If the teacher's folder is none.
        DataError: If the data, or a black box's answers to them, are malformed or too few.
    """
    parts = resolve_parts(spec, host)
    teachers = facts_by_place(spec, -1, parts)
    count, seed = spec.search.configurations_per_size, spec.search.seed
    if (sampler := spec.search.sampler) is Sampler.TPE:
        require_optuna()
    drawn = tuple(draw(spec.spaces, index, seed, sampler) for index in range(count))
    divided, unread = (divided, ()) if divided else _divided(spec, parts)
    assigned, tally = (divided.splits, divided.tally) if divided else (None, None)
    check_predictions(spec, parts, assigned)
    reads = [_read(spec, place, own, assigned) for place, own in enumerate(parts.earlier)]
    trains = [*(read.train for read in reads), assigned.train if assigned else None]
    sizes = sizes_of(spec, parts, teachers, trains)
    depths = [size.layers for size in sizes if size.layers is not None]
    counts = Counts(*map(len, assigned)) if assigned else _asked(spec.stage.splits)
    units, openings = counts, list[Opening]()
    if assigned is not None:
        dev, confirm = (_units(split, parts.labels) for split in (assigned.dev, assigned.confirm))
        units = Counts(counts.train, dev, confirm)
        for split, count in (("dev", dev), ("confirm", confirm)):
            if count < 2:
                message = f"{split} is one unit: a paired test needs at least two"
                raise DataError(message, where=f"domain '{parts.domain.name}'")
        if ledger is not None:
            keys, match = item_keys(assigned.confirm), spec.match
            openings = ledger.earlier(keys, match.family)
            alpha = round(1.0 - match.confidence, 12)
            available = ledger.available(keys, alpha, match.family)
    requests = stage_requests(spec.stage, parts.losses, teachers, depths, spec.cache)
    stages = [_planned(spec, place, parts, read, sizes) for place, read in enumerate(reads)]
    stages.append(PlannedStage(spec.at(-1), parts, teachers, counts.train, requests))
    plan = Plan(spec, tuple(stages), sizes, drawn, counts, units, tally, tuple(openings), available)
    _check_training(plan)
    for stage, place, train in zip(stages, range(len(stages)), trains, strict=True):
        if train is not None:
            _check_views(stage, [settings.stages[place] for settings in plan.settings], train)
    told = (read.told for read in reads if read.told)
    return replace(plan, warnings=(*unread, *told, *warnings_of(plan)))


def _units(split: Sequence[Example], labels: Sequence[str]) -> int:
    """Count what is independent in a split; of several domains, in the smallest."""
    if not labels:
        return len(independent(split))
    of_each = ([e for e in split if label_of(e.id) == label] for label in labels)
    return min(len(independent(each)) for each in of_each)


class _Read(NamedTuple):
    """What an earlier stage trains on, as far as it is known."""

    train: Sequence[Example] | None
    told: str
    """That the data are not there, or what is left out of them."""


def _read(spec: SearchSpec, place: int, parts: Parts, last: Assigned | None) -> _Read:
    """Read the training examples of an earlier stage."""
    loaded, absent = _loaded(parts)
    if loaded is None or last is None:
        return _Read(None, f"stages.{place}: {absent}" if absent else "")
    train, left_out = earlier_train(spec, place, parts, last, loaded)
    told = f"{left_out:,} training questions are asked, or nearly, in dev or confirm of the last"
    return _Read(train, f"stages.{place}: {told} stage, and left out" if left_out else "")


def _planned(
    spec: SearchSpec, place: int, parts: Parts, read: _Read, sizes: Sequence[Size]
) -> PlannedStage:
    """Plan a stage before the last."""
    stage, own = spec.stages[place], parts.earlier[place]
    train = _asked(stage.splits).train if read.train is None else len(read.train)
    depths = [size.layers for size in sizes if size.layers is not None]
    with at_stage(place):
        teachers = facts_by_place(spec, place, parts)
        check_sizes(stage, own, teachers, sizes)
        requests = stage_requests(stage, own.losses, teachers, depths, spec.cache)
    check_taught(stage, own, teachers, read.train)
    return PlannedStage(spec.at(place), own, teachers, train, requests)


def _check_views(stage: PlannedStage, trials: Sequence[Settings], train: Sequence[Example]) -> None:
    """Refuse a loss that puts questions in a way that none of the training questions has."""
    domain, options = stage.parts.domain, stage.parts.options
    asked = [
        (key, view)
        for settings in trials
        for key, view in stage.parts.views(settings)
        if Signal.RATIONALE not in stage.parts.needs_by_term[key]  # see `check_predictions`
    ]

    def format(example: Example) -> Prompt:
        return domain.format(example, options)

    for loss, view in asked:
        if all(view.prompt(example, format) is None for example in train):
            raise SpecError(
                f"'{view.name}' asks for {view.needs}, and no training question of domain "
                f"'{domain.name}' has that",
                where=f"losses.{loss}",
                fix="leave the loss out, or use data that have it",
            )


def _check_training(plan: Plan) -> None:
    """Refuse what suits no model, package or budget: fp16 for T5, a warm-up without end."""
    students = getattr(plan.parts.ladder_config, "family", plan.teacher.family)
    for place, stage in enumerate(plan.stages):
        prefix = f"stages.{place}." if len(plan.stages) > 1 else ""
        trained = [
            (f"{prefix}teachers.{each}.fine_tune", tuning, facts.family)
            for each, facts in stage.teachers.items()
            if (tuning := stage.spec.stage.teachers[each].fine_tune)
        ]
        own = (settings.stages[place] for settings in plan.settings)
        trained += [(f"{prefix}train", settings.training, students) for settings in own]
        for where, training, kind in trained:
            _check_budget(where, training, kind, stage)


def _check_budget(where: str, training: Training, family: str, stage: PlannedStage) -> None:
    if training.precision is Precision.FP16 and family == "t5":
        raise SpecError("fp16 overflows in T5 models", where=f"{where}.precision", fix="use bf16")
    if training.deepspeed is not None:
        check_deepspeed(training.deepspeed, f"{where}.deepspeed")
    if stage.train is not None and stage.train <= held_out(training, stage.train):
        raise SpecError(
            f"nothing is left to train on: train has {stage.train:,} examples",
            where=f"{where}.validation",
            fix="hold out fewer",
        )
    steps = stage.steps(training)
    if steps is not None and 1.0 <= training.warmup >= steps:
        raise SpecError(
            f"the warm-up of {training.warmup:.0f} steps does not end in a budget of {steps:,}",
            where=f"{where}.warmup",
            fix="give fewer steps, or a share of them below 1",
        )


def _divided(spec: SearchSpec, parts: Parts) -> tuple[Divided | None, tuple[str, ...]]:
    """Return the splits, or say why only the spec's own numbers are known."""
    loaded, absent = _loaded(parts)
    if loaded is None:
        return None, (absent,)
    return loaded.divide(spec.stage.splits, spec.search.seed), ()


def _loaded(parts: Parts) -> tuple[Loaded | None, str]:
    """Return a domain's examples, or say that they are not there."""
    try:
        return load(parts.domain, parts.options), ""
    except DataError as error:
        if not _absent(error) or _named(error, parts):
            raise
        return None, f"the data are not there, so counts are those of the spec: {error}"


def _named(error: DataError, parts: Parts) -> bool:
    """Whether an error is about data that the spec names by `path`: `run` would refuse it too."""
    domain, where = parts.domain, Path(error.where or "")
    every = (
        [each.options for each in domain.members] if isinstance(domain, Union) else [parts.options]
    )
    paths = [Path(path) for each in every if (path := getattr(each, "path", None)) is not None]
    return any(path == where or path in where.parents for path in paths)


def _asked(splits: Splits) -> Counts:
    sizes = (splits.train, splits.dev, splits.confirm)
    return Counts(*(size if isinstance(size, int) else None for size in sizes))


def _absent(error: DataError) -> bool:
    """Whether data are missing, not malformed: the place is a path, no line, and nothing there."""
    if isinstance(error.__cause__, FileNotFoundError):
        return True
    where = error.where
    return where is not None and not re.search(r":\d+$", where) and not Path(where).exists()
