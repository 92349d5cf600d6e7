"""Add items to confirm where those that a run had did not decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError, SpecError
from kdsearch.inputs.added_items import new_items, split_name
from kdsearch.plugin.union import Union, label_of
from kdsearch.predictions import Predictions
from kdsearch.run.lifecycle import begun_search, read_manifest
from kdsearch.run.prepared_search import Addition
from kdsearch.search.journal import read
from kdsearch.search.ledger import item_keys
from kdsearch.spec.loading import differences, load_spec
from kdsearch.spec.parts import resolve_parts
from kdsearch.splits import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Example
    from kdsearch.run.prepared_search import Executor, PreparedSearch
    from kdsearch.search.director import Sink
    from kdsearch.spec.models import SearchSpec
    from kdsearch.splits import Loaded


NOTHING = 1e-8
"""Of alpha: too little for any test."""

LEAST_SEEDS = 3
"""From which on confirm tests a recipe."""


def add_items(
    run_directory: Path,
    items: int,
    executor: Executor,
    *,
    overrides: Sequence[str] = (),
    sinks: Sequence[Sink] = (),
) -> dict[str, Any]:
    """Test the sizes that are undecided on confirm again, with items added.

    The level of the new test is what the run's openings of these items leave of the chance of a
    false match: see `stats.sequential`.

    Args:
        run_directory: A run that has finished.
        items: How many to add; of several domains, to each.
        executor: Where jobs run.
        overrides: `KEY=VALUE` settings of the domain's options, where other data hold the items.
        sinks: Shown every event.

    Raises:
        RunError: If the run has not finished, no size is undecided on confirm, or more items could
            not decide.
        DataError: If the data hold too few items that the run has not used, or a black box does
            not answer them.
        SpecError: If an override is of anything but the domain's options.
    """
    manifest = read_manifest(run_directory)
    search = begun_search(run_directory, manifest)
    if not (run_directory / "summary.json").exists():
        raise RunError(
            "the run has not finished",
            where=str(run_directory),
            fix=f"finish it by `kdsearch resume {run_directory}`",
        )
    search.check_data(manifest)
    search.check_metric()
    records = read(run_directory / "journal.jsonl")
    policy = search.policy(manifest)
    policy.restore(records)
    sizes = policy.undecided_on_confirm()
    if not sizes:
        raise RunError(
            f"no size is undecided on confirm, where more items may decide; the run ended as "
            f"{policy.outcome().replace('_', ' ')}",
            where=str(run_directory),
        )
    if policy.exploratory:
        raise RunError(
            "the run was extended after confirm was opened, so that further tests prove nothing",
            where=str(run_directory),
            fix="start a new run",
        )
    _check_worthwhile(search)
    look = 1 + max(opening.look for opening in search.openings)
    found = _drawn(search, overrides, items, look)
    _check_answered(search, look, found)
    added = Addition(look, sizes, tuple(found))
    return search.carry_out(executor, manifest, sinks=sinks, resumed=True, again=added)


def _check_worthwhile(search: PreparedSearch) -> None:
    """Refuse a test that could not decide, whatever its items.

    Raises:
        RunError: If nothing of alpha is left for it, or seeds were tested.
    """
    match, alpha = search.spec.match, search.plan.rules().alpha
    where = str(search.folder)
    if match.seeds >= LEAST_SEEDS:
        raise RunError(
            "more items do not lessen the spread of seeds",
            where=where,
            fix="start a new run with more match.seeds",
        )
    if match.reserve == 0.0:
        raise RunError(
            "match.reserve is 0, so that the first opening of confirm was given the whole chance "
            "of a false match",
            where=where,
            fix="start a new run with a match.reserve, on new confirm items",
        )
    left = search.ledger.available(item_keys(search.confirm), alpha, match.family)
    if left <= NOTHING:
        raise RunError(
            f"nothing is left of the {alpha:.2g} chance of a false match: these confirm items were "
            "opened too often",
            where=str(search.ledger.path),
            fix="start a new run on new confirm items",
        )


def _check_answered(search: PreparedSearch, look: int, found: Sequence[Example]) -> None:
    """Refuse items to which a black box gives no answer.

    Raises:
        DataError: If its file lacks one, or an answer is none of the options.
    """
    source = search.spec.stage.teachers[0].predictions
    if source is not None:
        Predictions(Path(source)).check({split_name(look): found})


def _drawn(
    search: PreparedSearch, overrides: Sequence[str], items: int, look: int
) -> list[Example]:
    """Draw new items of each domain."""
    if not overrides and not search.reserve:
        raise RunError(
            "the run keeps no items for this (splits.reserve)",
            where=str(search.folder),
            fix=f"name new ones, such as --set {_key(search.spec)}=FILE",
        )
    whole = _source(search, overrides) if overrides else search.loaded
    held = [*search.assigned.train, *search.assigned.dev, *search.confirm]
    held += [example for _, train in search.earlier for example in train]
    found = []
    for place, part in enumerate(whole.members or (whole,)):
        label = part.domain if whole.members else ""
        every = whole.examples if overrides else search.reserve
        own = [each for each in every if not label or label_of(each.id) == label]
        rule = part.rule if part.rule.drops(search.spec.stage.splits.near_duplicates) else None
        found += new_items(
            own, held, items, seed=search.spec.search.seed, look=look, domain=part.domain,
            rule=rule, key=_key(search.spec, place),
        )  # fmt: skip
    return found


def _key(spec: SearchSpec, place: int = 0) -> str:
    """Return where a spec names the data of a domain of its last stage."""
    stage = f"stages.{len(spec.stages) - 1}." if len(spec.stages) > 1 else ""
    domain = f"domains.{place}" if spec.stage.domains else "domain"
    return f"{stage}{domain}.options.path"


def _source(search: PreparedSearch, overrides: Sequence[str]) -> Loaded:
    """Return the data that overrides name."""
    spec = load_spec(search.folder / "spec.yaml", search.host, overrides)
    same = search.spec.stage.model_copy(
        update={"domain": spec.stage.domain, "domains": spec.stage.domains}
    )
    stages = (*search.spec.stages[:-1], same)
    changed = differences(search.spec.model_copy(update={"stages": stages}), spec)
    parts = resolve_parts(spec, search.host)
    if changed or _names(parts.domain) != _names(search.parts.domain):
        raise SpecError(
            "only the options of the domain can be set where items are added",
            where="--set",
            fix=f"such as --set {_key(search.spec)}=FILE",
        )
    return load(parts.domain, parts.options)


def _names(domain: Any) -> list[str]:
    """Return what domains are called, each by its label."""
    if isinstance(domain, Union):
        return [f"{each.label}={each.domain.name}" for each in domain.members]
    return [domain.name]
