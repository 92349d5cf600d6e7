"""A search that is ready to run: everything is checked, and its jobs can be done."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict
from functools import cached_property
from importlib import metadata
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from kdsearch import __version__
from kdsearch.errors import RunError, StorageError
from kdsearch.events import ConfirmOpened, RunStarted
from kdsearch.inputs.added_items import added_path, read_added, split_name, write_added
from kdsearch.inputs.consistency import changes, input_hashes
from kdsearch.plan import Plan, make_plan
from kdsearch.plan.plugin_hashes import check_plugins, plugin_hashes
from kdsearch.plan.records import measures_of, source_fingerprints
from kdsearch.questions import Questions
from kdsearch.run.beginning import check_own
from kdsearch.run.checks import Inputs, check_judging, check_search
from kdsearch.search.agreement import plan_changes
from kdsearch.search.director import Director, Sink
from kdsearch.search.guesses import guesses_of
from kdsearch.search.journal import Journal, read
from kdsearch.search.ledger import ConfirmLedger, item_keys
from kdsearch.search.openings import RunOpenings
from kdsearch.search.policy import Policy
from kdsearch.search.summary import SUMMARY, summarise
from kdsearch.search.tpe import STARTUP, Tried, suggest
from kdsearch.spec.loading import write_spec
from kdsearch.spec.parts import resolve_parts
from kdsearch.spec.record import recorded_spec
from kdsearch.spec.settings import Settings, settings_hash
from kdsearch.splits import (
    Assigned,
    fingerprint,
    load,
    units_of,
)
from kdsearch.stages import earlier_train
from kdsearch.stats.paired import alpha_shares
from kdsearch.storage import Folder, check_space, damaged_files, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kdsearch.events import Record
    from kdsearch.plugin.api import Example
    from kdsearch.plugin.host import Host
    from kdsearch.search.recorded_files import RecordedFiles
    from kdsearch.spec.models import SearchSpec
    from kdsearch.stats.chance import Guesses


RECORDED = ("torch", "transformers", "datasets", "ray", "pluggy", "pydantic", "numpy")
"""Distributions whose versions a run records."""


class Addition(NamedTuple):
    """Items that are added to confirm."""

    look: int
    """From 2 on."""
    sizes: Sequence[str]
    """Those that are tested with them."""
    items: tuple[Example, ...]


class Executor(Protocol):
    """Runs a director's jobs until it has no more."""

    def __call__(self, director: Director, spec: SearchSpec, folder: Path) -> None:
        """Run jobs; `folder` is free for the executor's own files."""


class PreparedSearch:
    """All that a run knows before its first job.

    Args:
        spec: What to search.
        host: The plugins.
        run_directory: There already if `manifest` is given.
        manifest: What the run recorded when it began.
    """

    def __init__(
        self,
        spec: SearchSpec,
        host: Host,
        run_directory: Path,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec
        self.host = host
        self.folder = run_directory.absolute()
        self.files = Folder(self.folder)
        """The one writer of what the driver keeps."""
        self.parts = resolve_parts(spec, host)
        splits, seed = spec.stage.splits, spec.search.seed
        self.loaded = load(self.parts.domain, self.parts.options)
        divided = self.loaded.divide(splits, seed)
        self.assigned: Assigned = divided.splits
        self.reserve = divided.reserve
        self.ledger = ConfirmLedger()
        self.plan: Plan = make_plan(
            spec,
            host,
            divided,
            ledger=None if manifest else self.ledger,
            available=manifest.get("alpha_available") if manifest else None,
        )
        self.openings = _openings_of(self.folder)
        self.added = {
            opening.look: read_added(self.folder, split_name(opening.look))
            for opening in self.openings
            if opening.look > 1
        }
        self.fingerprints = {
            name: fingerprint(getattr(self.assigned, name)) for name in Assigned._fields
        }
        self.earlier = [
            (own, earlier_train(spec, place, own, self.assigned).train)
            for place, own in enumerate(self.parts.earlier)
        ]
        for place, (_, train) in enumerate(self.earlier):
            self.fingerprints[f"stages.{place}.train"] = fingerprint(train)
        own = tuple(chain.from_iterable(self.assigned))
        asked = [*(train for _, train in self.earlier), own]
        self.whole_files: dict[str, str] = {}
        for place, stage in enumerate(self.plan.stages):
            prefix = "" if stage is self.plan.stage else f"stages.{place}."
            hashes = source_fingerprints(stage, asked[place])
            self.fingerprints |= {f"{prefix}{name}": found for name, found in hashes.now.items()}
            self.whole_files |= {f"{prefix}{name}": f for name, f in hashes.earlier.items()}

    def manifest(self, *, force: bool, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what a run records of itself besides its events.

        Args:
            force: Whether the search goes on where it would end.
            known: What it recorded before; its id stays.
        """
        sources = {
            offer.source
            for offers in (self.host.domains, self.host.losses, self.host.ladders)
            for offer in offers.values()
        }
        versions = {name: metadata.version(name) for name in RECORDED}
        return {
            "kdsearch": __version__,
            "id": (known or {}).get("id") or uuid4().hex,
            "alpha_available": self.plan.available,
            "python": platform.python_version(),
            "versions": versions,
            "plugins": sorted(str(source) for source in sources),
            "plugin_files": [str(file) for file in self.host.files],
            "plugin_hashes": plugin_hashes(self.parts),
            "seed": self.spec.search.seed,
            "threads": self.spec.resources.cpus,
            "force": force,
            "spec": self.spec.model_dump(mode="json"),
            **measures_of(self.plan.stage),
            "stages": [
                measures_of(stage, f"stages/{place}/")
                for place, stage in enumerate(self.plan.stages[:-1])
            ],
            "sizes": [asdict(size) for size in self.plan.sizes],
            "data": self.fingerprints,
            "inputs": self.inputs,
        }

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Hashes of the order, prompts and classes of what jobs read; see `input_hashes`."""
        parts = self.parts
        found = input_hashes(parts.domain, parts.options, self.assigned._asdict())
        for place, (own, train) in enumerate(self.earlier):
            splits, prefix = {"train": train}, f"stages.{place}."
            found |= input_hashes(own.domain, own.options, splits, prefix)
        return found

    def check_space(self) -> None:
        """Refuse a run that the disk cannot hold, whatever it decides.

        Raises:
            StorageError: If it cannot.
        """
        check_space(self.folder, self.plan.disk.least, "the run")

    def check(self) -> None:
        """Refuse a search whose questions, data or metric are no use; see `check_search`."""
        asked = self.spec, self.parts, self.loaded, self.assigned, self.earlier, self.plan
        check_search(Inputs(*asked), self.inputs)

    def check_metric(self) -> None:
        """Refuse prompts that hold the answer, and a metric that cannot tell right from wrong."""
        check_judging(self.spec, self.parts, self.assigned)

    def check_data(self, manifest: Mapping[str, Any]) -> None:
        """Refuse other data than a run began with."""
        then = {**manifest["data"], **manifest.get("inputs", {})}  # of old runs without the latter
        for name, whole in self.whole_files.items():
            if then.get(name) == whole:  # of old runs, too
                then[name] = self.fingerprints[name]
        if changed := changes(then, {**self.fingerprints, **self.inputs}):
            raise RunError(
                f"the data have changed since the run began: {'; '.join(changed)}",
                where=f"domain {self.parts.domain.name}",
                fix="restore them, or start a new run",
            )
        check_plugins(manifest.get("plugin_hashes", {}), plugin_hashes(self.parts))
        for opening in self.openings:
            found = fingerprint(self.confirm_at(opening.look))
            if opening.look > 1 and found != opening.fingerprint:
                raise RunError(
                    "the added items have changed since they were opened",
                    where=str(added_path(self.folder, split_name(opening.look))),
                    fix="restore the file, or start a new run",
                )

    def confirm_at(self, look: int) -> Sequence[Example]:
        """Return the confirm items of a look: those before it, and those that it added."""
        added = (items for place, items in self.added.items() if place <= look)
        return (*self.assigned.confirm, *chain.from_iterable(added))

    @property
    def confirm(self) -> Sequence[Example]:
        """All confirm items, those that later looks added behind those that the run began with."""
        return self.confirm_at(max(self.added, default=1))

    @property
    def units(self) -> dict[str, str]:
        """The unit of each item of dev and confirm; nothing where every item stands alone."""
        return units_of(self.assigned.dev) | units_of(self.confirm)

    def policy(
        self, manifest: Mapping[str, Any], opening_alpha: Callable[[], float] | None = None
    ) -> Policy:
        """Return a fresh policy.

        Args:
            manifest: What the run recorded when it began.
            opening_alpha: Asked for what an opening of confirm may spend.
        """
        rules = self.plan.rules(force=manifest["force"])
        return Policy(self.plan.size_costs, rules, self.fingerprints["confirm"], opening_alpha)

    def check_journal(self, manifest: Mapping[str, Any]) -> None:
        """Refuse a journal whose decisions do not follow from its results.

        Raises:
            RunError: If one does not.
        """
        records = read(self.folder / "journal.jsonl")
        changed = plan_changes(records, self.plan.to_json())
        self.policy(manifest).restore(records, changed=changed)

    def misfits(self, manifest: Mapping[str, Any]) -> list[str]:
        """Say what a run made that this search would make otherwise."""
        sizes = [asdict(size) for size in self.plan.sizes]
        found = [f"size {size['name']} differs" for size in manifest["sizes"] if size not in sizes]
        known = resolve_parts(recorded_spec(manifest), self.host)
        if self.parts.needs - known.needs:
            found.append("the new configurations need other signals of the teacher")
        return found

    def carry_out(
        self,
        executor: Executor,
        manifest: Mapping[str, Any],
        *,
        sinks: Sequence[Sink],
        resumed: bool,
        again: Addition | None = None,
        damaged: Mapping[str, str] | None = None,
        retried: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Run the jobs, export what confirm tested, and write the summary.

        Args:
            executor: Where they run.
            manifest: What the run records of itself.
            sinks: Shown every event.
            resumed: Whether the run began before.
            again: Items that are added to confirm; the summary that is there gives way to it.
            damaged: What is wrong with files that the journal has recorded, by path.
            retried: Failed trials that are trained again.
        """
        self.ledger.check_writable()
        with Journal(self.folder / "journal.jsonl") as journal:
            check_own(journal.records, manifest, resumed=resumed)
            if again is not None:
                self._add(again, journal)
            self._write(manifest)
            openings = self._openings(manifest, journal)
            added = None if again is None else self._reopened(openings, again)
            if again is not None or retried:
                self.files.remove(SUMMARY)  # the journal says all of it
            started = RunStarted(
                run=self.folder.name,
                plan=self.plan.to_json(),
                resumed=resumed,
                id=manifest.get("id"),
                retried=tuple(retried),
            )
            director = Director(
                run=self.folder,
                policy=self.policy(manifest, openings.spend),
                journal=journal,
                started=started,
                configuration=self._configuration,
                settings=lambda *key: self._settings(*key).model_dump(mode="json"),
                settings_hash=lambda values: settings_hash(Settings.model_validate(values)),
                guesses=lambda: self._guesses(self.assigned.dev),
                confirm_guesses=lambda: self._guesses(self.confirm),
                teacher_name=self.plan.teacher_name,
                units=self.units,
                several=bool(self.parts.labels),
                audits=self.spec.search.audit,
                added=added,
                damaged=damaged,
                sinks=sinks,
            )
            executor(director, self.spec, self.folder / "ray")
            summary = summarise(journal.records)
            self._export(summary, director.files)
        trials = self.folder / "trials"  # what was stopped or failed has left its checkpoints
        for unfinished in (*trials.glob("*/training"), *trials.glob("*/stages/*/training")):
            self.files.remove(unfinished)
        openings.settle()
        self.files.write(SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")
        return summary

    def _openings(self, manifest: Mapping[str, Any], journal: Journal) -> RunOpenings:
        """Return what enters this run's openings of confirm into the user's ledger."""
        match = self.spec.match
        return RunOpenings(
            ledger=self.ledger,
            journal=journal,
            id=manifest.get("id") or str(self.folder),
            folder=str(self.folder),
            items=item_keys(self.confirm),
            alpha=self.plan.rules().alpha,
            reserve=match.reserve,
            family=match.family,
        )

    def _add(self, again: Addition, journal: Journal) -> None:
        """Write the items that are added, once no other process can.

        Raises:
            RunError: If another one has added some in the meantime.
        """
        if _openings_in(journal.records) != self.openings:
            raise RunError(
                "another process has opened confirm in the meantime",
                where=str(self.folder),
                fix="look at its results first",
            )
        write_added(self.folder, split_name(again.look), again.items)
        self.added[again.look] = again.items

    def _reopened(self, openings: RunOpenings, again: Addition) -> ConfirmOpened:
        """Return the opening of confirm with items added, once it is in the user's ledger."""
        alphas = alpha_shares(len(again.sizes), openings.spend())
        return ConfirmOpened(
            sizes=tuple(again.sizes),
            alphas=alphas,
            fingerprint=fingerprint(self.confirm),
            alpha=math.fsum(alphas),
            look=again.look,
            items=len(self.confirm),
        )

    def _write(self, manifest: Mapping[str, Any]) -> None:
        """Write spec and manifest, each whole or not at all."""
        files = {
            "spec.yaml": write_spec(self.spec),
            "units.json": json.dumps(self.units, indent=1),  # to recompute verdicts
            "manifest.json": sealed(manifest, indent=1),
        }
        for name, text in files.items():
            if name != "units.json" or self.units:
                self.files.write(name, text)

    def _configuration(
        self, size: str, index: int | None, tried: Sequence[Tried]
    ) -> Mapping[str, Any]:
        if self.plan.suggested and index is not None and index >= STARTUP:
            seed = f"{self.spec.search.seed}:{size}"
            return suggest(self.spec.spaces, tried, seed)
        drawn = self.plan.configurations[index or 0]
        return self.spec.shared(drawn) if index is None else drawn

    def _settings(self, index: int | None, drawn: Mapping[str, Any]) -> Settings:
        if index is None:
            return self.spec.baseline(self.plan.configurations[0])
        return self.spec.resolve(drawn)

    def _guesses(self, asked: Sequence[Example]) -> Guesses:
        return guesses_of(self.assigned.train, asked, self.parts.labels)

    def _export(self, summary: Mapping[str, Any], files: RecordedFiles) -> None:
        """Export every size that confirm tested.

        Raises:
            StorageError: If a student was damaged since it was tested.
        """
        from kdsearch.distill.export import export_student

        teacher = self.folder / (self.plan.teacher.path or "teacher/model")
        parts = self.parts
        asked = Questions(parts.domain, parts.options, "train", self.assigned.train, ())
        for size in summary["sizes"]:
            if size["confirm"] is not None:
                trial = self.folder / "trials" / size["best_trial"] / "student"
                kept = self.folder / "students" / size["size"]
                damaged = damaged_files(self.folder, files.student(size["best_trial"]))
                for path, fault in damaged.items():
                    raise StorageError(
                        f"damaged during the run: {fault}",
                        where=str(self.folder / path),
                        fix="resume the run: it is trained again",
                    )
                told = size, summary, self.spec, teacher, asked
                export_student(self.files, trial, kept, *told)


def _openings_of(run: Path) -> list[ConfirmOpened]:
    """Return how a run has opened confirm, at later looks with more items."""
    path = run / "journal.jsonl"
    return _openings_in(read(path)) if path.is_file() else []


def _openings_in(records: Sequence[Record]) -> list[ConfirmOpened]:
    return [record.event for record in records if isinstance(record.event, ConfirmOpened)]
