"""One run: check everything, write the run directory, search, confirm, export, summarise."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kdsearch import __version__
from kdsearch.errors import RunError
from kdsearch.events import RunStarted
from kdsearch.plan import Plan, make_plan
from kdsearch.plugin.host import Host
from kdsearch.predictions import predictions_fingerprint
from kdsearch.search.director import Director, Guesses, Sink
from kdsearch.search.journal import Journal
from kdsearch.search.policy import Policy
from kdsearch.search.summary import summarise
from kdsearch.spec.loading import differences, load_spec, write_spec
from kdsearch.spec.models import SearchSpec, Settings, settings_hash
from kdsearch.spec.parts import Parts, resolve_parts
from kdsearch.splits import Assigned, assign, fingerprint, load_examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.plugin import Example

RECORDED = ("torch", "transformers", "datasets", "ray", "pluggy", "pydantic", "numpy")
"""Distributions whose versions a run records."""


class Executor(Protocol):
    """Runs a director's jobs until it has no more."""

    def __call__(self, director: Director, spec: SearchSpec, folder: Path) -> None:
        """Run jobs; `folder` is free for the executor's own files."""


def run(
    spec: SearchSpec,
    host: Host,
    run_directory: Path,
    executor: Executor,
    *,
    force: bool = False,
    sinks: Sequence[Sink] = (),
) -> dict[str, Any]:
    """Carry out a search in a new run directory and return its summary.

    Args:
        spec: What to search.
        host: The plugins.
        run_directory: Must not exist.
        executor: Where jobs run.
        force: Search on although the teacher is not above guessing.
        sinks: Shown every event.

    Raises:
        KdsearchError: If anything is wrong with spec, data, or models; nothing is written then.
    """
    if run_directory.exists():
        raise RunError(
            "the run directory exists already",
            where=str(run_directory),
            fix=f"continue it by `kdsearch resume {run_directory}` or name another",
        )
    spec = absolute_paths(spec, resolve_parts(spec, host))
    search = _Search(spec, host, run_directory)
    run_directory.mkdir(parents=True)
    (run_directory / "spec.yaml").write_text(write_spec(spec), encoding="utf8")
    manifest = search.manifest(force=force)
    (run_directory / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf8")
    return search.carry_out(executor, force=force, sinks=sinks, resumed=False)


def resume(
    run_directory: Path, executor: Executor, *, sinks: Sequence[Sink] = ()
) -> dict[str, Any]:
    """Continue a run where its journal ends; of a finished run, return its summary.

    Raises:
        RunError: If the directory is no run, or its spec or data have changed since.
    """
    try:
        manifest = json.loads((run_directory / "manifest.json").read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise RunError("no run directory: no manifest.json", where=str(run_directory)) from error
    host = Host(Path(file) for file in manifest["plugin_files"])
    spec = load_spec(run_directory / "spec.yaml", host)
    changed = differences(SearchSpec.model_validate(manifest["spec"]), spec)
    if changed:
        raise RunError(
            f"the spec has changed since the run began: {'; '.join(changed)}",
            where=str(run_directory / "spec.yaml"),
            fix="undo the change, or start a new run",
        )
    summary = run_directory / "summary.json"
    if summary.exists():
        finished: dict[str, Any] = json.loads(summary.read_text(encoding="utf8"))
        return finished
    search = _Search(spec, host, run_directory)
    changed = [name for name, now in search.fingerprints.items() if now != manifest["data"][name]]
    if changed:
        raise RunError(
            f"the data have changed since the run began: {', '.join(changed)}",
            where=f"domain {spec.stage.domain.name}",
            fix="restore them, or start a new run",
        )
    return search.carry_out(executor, force=manifest["force"], sinks=sinks, resumed=True)


def absolute_paths(spec: SearchSpec, parts: Parts) -> SearchSpec:
    """Make the spec's paths absolute: workers may run elsewhere.

    A domain's options are paths where its `Options` type them as `pathlib.Path`.
    """
    values = spec.model_dump(mode="json")
    stage = values["stages"][-1]
    options = parts.options.model_dump()
    for name in stage["domain"]["options"]:
        if isinstance(options[name], Path):
            stage["domain"]["options"][name] = str(options[name].absolute())
    for teacher in stage["teachers"]:
        for key in ("model", "predictions"):
            if teacher[key] is not None:
                teacher[key] = str(Path(teacher[key]).absolute())
    return SearchSpec.model_validate(values)


class _Search:
    """All that a run knows before its first job."""

    def __init__(self, spec: SearchSpec, host: Host, run_directory: Path) -> None:
        self.spec = spec
        self.host = host
        self.folder = run_directory.absolute()
        self.parts = resolve_parts(spec, host)
        domain = self.parts.domain
        self.assigned: Assigned = assign(
            load_examples(domain, self.parts.options),
            spec.stage.splits,
            spec.search.seed,
            domain=domain.name,
        )
        self.plan: Plan = make_plan(spec, host, self.assigned)
        self.fingerprints = {
            name: fingerprint(getattr(self.assigned, name)) for name in Assigned._fields
        }
        answers = spec.stage.teachers[0].predictions
        if answers is not None:
            self.fingerprints["predictions"] = predictions_fingerprint(Path(answers))

    def manifest(self, *, force: bool) -> dict[str, Any]:
        """Return what a run records of itself besides its events."""
        sources = {
            offer.source
            for offers in (self.host.domains, self.host.losses, self.host.ladders)
            for offer in offers.values()
        }
        versions = {name: metadata.version(name) for name in RECORDED}
        teacher = asdict(self.plan.teacher)
        source = self.spec.stage.teachers[0]
        if source.fine_tune is not None:
            teacher["path"] = "teacher/model"
        elif source.predictions is not None:
            teacher["path"] = "teacher/tokenizer"
        return {
            "kdsearch": __version__,
            "python": platform.python_version(),
            "versions": versions,
            "plugins": sorted(str(source) for source in sources),
            "plugin_files": [str(file) for file in self.host.files],
            "seed": self.spec.search.seed,
            "threads": self.spec.resources.cpus,
            "force": force,
            "spec": self.spec.model_dump(mode="json"),
            "teacher": teacher,
            "sizes": [asdict(size) for size in self.plan.sizes],
            "data": self.fingerprints,
        }

    def carry_out(
        self, executor: Executor, *, force: bool, sinks: Sequence[Sink], resumed: bool
    ) -> dict[str, Any]:
        """Run the jobs, export what confirm tested, and write the summary."""
        with Journal(self.folder / "journal.jsonl") as journal:
            policy = Policy(
                self.plan.size_costs, self.plan.rules(force=force), self.fingerprints["confirm"]
            )
            director = Director(
                run=self.folder,
                policy=policy,
                journal=journal,
                started=RunStarted(run=self.folder.name, plan=self.plan.to_json(), resumed=resumed),
                configuration=self._configuration,
                settings=lambda index: self._settings(index).model_dump(mode="json"),
                settings_hash=lambda values: settings_hash(Settings.model_validate(values)),
                guesses=self._guesses,
                teacher_name=self.plan.teacher_name,
                sinks=sinks,
            )
            executor(director, self.spec, self.folder / "ray")
            summary = summarise(journal.records)
        self._export(summary)
        text = json.dumps(summary, indent=1, allow_nan=False)
        (self.folder / "summary.json").write_text(text + "\n", encoding="utf8")
        return summary

    def _configuration(self, index: int | None) -> Mapping[str, Any]:
        drawn = self.plan.configurations[index or 0]
        shared = {path: value for path, value in drawn.items() if path.startswith("train.")}
        return shared if index is None else drawn

    def _settings(self, index: int | None) -> Settings:
        drawn = self.plan.configurations[index or 0]
        stage = self.spec.stage
        return stage.baseline(drawn) if index is None else stage.resolve(drawn)

    def _guesses(self) -> Guesses:
        return guesses_of(self.assigned.train, self.assigned.dev)

    def _export(self, summary: Mapping[str, Any]) -> None:
        """Export every size that confirm tested."""
        from kdsearch.distill.export import export_student

        for size in summary["sizes"]:
            if size["confirm"] is not None:
                trial = self.folder / "trials" / size["best_trial"] / "student"
                export_student(trial, self.folder / "students" / size["size"], size, summary)


def guesses_of(train: Sequence[Example], dev: Sequence[Example]) -> Guesses:
    """Return what answering dev without reading would score."""
    counts = Counter(example.answer for example in train)
    most_frequent = min(counts, key=lambda answer: (-counts[answer], str(answer)))
    right = [float(example.answer == most_frequent) for example in dev]
    return Guesses(right, [len(example.choices) for example in dev if example.choices])
