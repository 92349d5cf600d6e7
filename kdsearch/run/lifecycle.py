"""Begin, extend, resume a run, and add items to it: check everything, search, confirm, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.plan.paths import absolute_paths
from kdsearch.plugin.host import Host
from kdsearch.run.extension import beyond_extension
from kdsearch.run.prepared_search import Executor, PreparedSearch, write_whole
from kdsearch.search.agreement import has_ended
from kdsearch.search.journal import read
from kdsearch.search.summary import SUMMARY, read_summary, summarise
from kdsearch.spec.loading import differences, load_spec
from kdsearch.spec.parts import resolve_parts
from kdsearch.spec.record import as_begun, recorded_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.search.director import Sink
    from kdsearch.spec.models import SearchSpec


def run(
    spec: SearchSpec,
    host: Host,
    run_directory: Path,
    executor: Executor,
    *,
    force: bool = False,
    allow_exploratory: bool = False,
    sinks: Sequence[Sink] = (),
) -> dict[str, Any]:
    """Carry out a search in a new run directory and return its summary.

    Args:
        spec: What to search.
        host: The plugins.
        run_directory: Must not exist, unless `allow_exploratory`.
        executor: Where jobs run.
        force: Go on where teacher, margin or data speak against it, and declare a match all the
            same.
        allow_exploratory: Go on with a run that is there already; see `extend`.
        sinks: Shown every event.

    Raises:
        KdsearchError: If anything is wrong with spec, data, or models; nothing is written then.
    """
    if run_directory.exists():
        if allow_exploratory:
            return extend(spec, host, run_directory, executor, sinks=sinks)
        raise RunError(
            "the run directory exists already",
            where=str(run_directory),
            fix=f"continue it by `kdsearch resume {run_directory}`, name another, or add sizes or "
            "configurations to it by --allow-exploratory",
        )
    spec = absolute_paths(spec, resolve_parts(spec, host))
    search = PreparedSearch(spec, host, run_directory)
    search.ledger.check_writable()
    search.check()
    try:
        run_directory.mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"the run directory cannot be made: {error.strerror}", where=str(run_directory)
        ) from error
    return search.carry_out(executor, search.manifest(force=force), sinks=sinks, resumed=False)


def extend(
    spec: SearchSpec,
    host: Host,
    run_directory: Path,
    executor: Executor,
    *,
    sinks: Sequence[Sink] = (),
) -> dict[str, Any]:
    """Go on with a run under a spec that has more sizes, configurations a size, or ablations.

    No trial is repeated and every test stands. What confirm tests from now on is exploratory if it
    had been opened before: the shares of error were declared for a smaller search.

    Raises:
        RunError: If the directory is no run, or the spec differs in anything else.
    """
    manifest = read_manifest(run_directory)
    known = recorded_spec(manifest)
    spec = as_begun(absolute_paths(spec, resolve_parts(spec, host)), known)
    search = PreparedSearch(spec, host, run_directory, manifest)
    if faults := beyond_extension(known, spec) + search.misfits(manifest):
        raise RunError(
            f"only sizes, configurations and ablations can be added to a run: {'; '.join(faults)}",
            where=str(run_directory),
            fix="name another run directory",
        )
    search.check_data(manifest)
    search.check_metric()
    search.check_journal(manifest)
    (run_directory / SUMMARY).unlink(missing_ok=True)  # the journal says all of it
    return search.carry_out(
        executor,
        search.manifest(force=manifest["force"], known=manifest),
        sinks=sinks,
        resumed=True,
    )


def resume(
    run_directory: Path, executor: Executor, *, sinks: Sequence[Sink] = ()
) -> dict[str, Any]:
    """Continue a run where its journal ends; of a finished run, return its summary.

    Raises:
        RunError: If the directory is no run, or its spec or data have changed since.
    """
    manifest = read_manifest(run_directory)
    host, spec = _begun(run_directory, manifest)
    if (finished := _finished(run_directory)) is not None:
        return finished
    search = PreparedSearch(spec, host, run_directory, manifest)
    search.check_data(manifest)
    search.check_metric()
    return search.carry_out(executor, manifest, sinks=sinks, resumed=True)


def _finished(run_directory: Path) -> dict[str, Any] | None:
    """Return the summary of a run that has one; made anew from the journal where it was cut."""
    if not (run_directory / SUMMARY).exists():
        return None
    summary = read_summary(run_directory)
    if summary is None and has_ended(records := read(run_directory / "journal.jsonl")):
        summary = summarise(records)
        write_whole(run_directory / SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return summary


def begun_search(run_directory: Path, manifest: dict[str, Any]) -> PreparedSearch:
    """Return the search that a run directory holds, as it began.

    Args:
        run_directory: Holds it.
        manifest: What it recorded when it began.

    Raises:
        RunError: If its spec has changed since.
    """
    host, spec = _begun(run_directory, manifest)
    return PreparedSearch(spec, host, run_directory, manifest)


def _begun(run_directory: Path, manifest: dict[str, Any]) -> tuple[Host, SearchSpec]:
    """Return a run's plugins and its spec, refused if it has changed since the run began."""
    host = Host(Path(file) for file in manifest["plugin_files"])
    known = recorded_spec(manifest)
    spec = as_begun(load_spec(run_directory / "spec.yaml", host), known)
    if changed := differences(known, spec):
        raise RunError(
            f"the spec has changed since the run began: {'; '.join(changed)}",
            where=str(run_directory / "spec.yaml"),
            fix="undo the change, or start a new run",
        )
    return host, spec


def read_manifest(run_directory: Path) -> dict[str, Any]:
    """Read what a run recorded when it began.

    Raises:
        RunError: If the directory is no run.
    """
    try:
        text = (run_directory / "manifest.json").read_text(encoding="utf8")
        manifest: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise RunError("no run directory: no manifest.json", where=str(run_directory)) from error
    return manifest
