"""Add items to confirm where those that a run had did not decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError, SpecError
from kdsearch.events import ConfirmOpened
from kdsearch.inputs.added_items import new_items, split_name, write_added
from kdsearch.plugin.union import Union, label_of
from kdsearch.run.lifecycle import begun_search, read_manifest
from kdsearch.search.journal import read
from kdsearch.spec.loading import differences, load_spec
from kdsearch.spec.parts import resolve_parts
from kdsearch.splits import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.plugin.api import Example
    from kdsearch.run.prepared_search import Executor, PreparedSearch
    from kdsearch.search.director import Sink
    from kdsearch.splits import Loaded


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
        RunError: If the run has not finished, or no size is undecided on confirm.
        DataError: If the data hold too few items that the run has not used.
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
    openings = [record.event for record in records if isinstance(record.event, ConfirmOpened)]
    if policy.exploratory:
        raise RunError(
            "the run was extended after confirm was opened, so that further tests prove nothing",
            where=str(run_directory),
            fix="start a new run",
        )
    look = 1 + max(opening.look for opening in openings)
    found = _drawn(search, overrides, items, look)
    search.ledger.check_writable()
    write_added(search.folder, split_name(look), found)
    (run_directory / "summary.json").unlink()  # the journal says all of it
    search = begun_search(run_directory, manifest, look)
    return search.carry_out(executor, manifest, sinks=sinks, resumed=True, again=(look, sizes))


def _drawn(
    search: PreparedSearch, overrides: Sequence[str], items: int, look: int
) -> list[Example]:
    """Draw new items of each domain."""
    if not overrides and not search.reserve:
        raise RunError(
            "the run keeps no items for this (splits.reserve)",
            where=str(search.folder),
            fix="name new ones, such as --set domain.options.path=FILE",
        )
    whole = _source(search, overrides) if overrides else search.loaded
    held = [*search.assigned.train, *search.assigned.dev, *search.confirm]
    held += [example for _, train in search.earlier for example in train]
    found = []
    for part in whole.members or (whole,):
        label = part.domain if whole.members else ""
        every = whole.examples if overrides else search.reserve
        own = [each for each in every if not label or label_of(each.id) == label]
        rule = part.rule if part.rule.drops(search.spec.stage.splits.near_duplicates) else None
        seed = search.spec.search.seed
        found += new_items(own, held, items, seed=seed, look=look, domain=part.domain, rule=rule)
    return found


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
            fix="such as --set domain.options.path=FILE",
        )
    return load(parts.domain, parts.options)


def _names(domain: Any) -> list[str]:
    """Return what domains are called, each by its label."""
    if isinstance(domain, Union):
        return [f"{each.label}={each.domain.name}" for each in domain.members]
    return [domain.name]
