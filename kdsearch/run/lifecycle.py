"""Begin, extend, resume a run, and add items to it: check everything, search, confirm, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.plan.paths import absolute_paths
from kdsearch.plugin.host import Host
from kdsearch.run.beginning import check_complete, check_own, has_begun
from kdsearch.run.extension import beyond_extension
from kdsearch.run.prepared_search import Executor, PreparedSearch
from kdsearch.search.agreement import effective, failed_job, has_ended
from kdsearch.search.integrity import damage_of, missing_exports
from kdsearch.search.journal import read
from kdsearch.search.summary import SUMMARY, summarise
from kdsearch.spec.loading import differences, load_spec
from kdsearch.spec.parts import resolve_parts
from kdsearch.spec.record import as_begun, recorded_spec
from kdsearch.storage import Folder, read_sealed
from kdsearch.storage.folder import make_run_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import Record
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
    shared: bool = False,
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
        shared: Whether other users may read the run directory.
        sinks: Shown every event.

    Raises:
        KdsearchError: If anything is wrong with spec, data, or models; nothing is written then.
    """
    if has_begun(run_directory):
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
    search.check_space()
    make_run_directory(run_directory, shared=shared)
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
    records = read(run_directory / "journal.jsonl")
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
    Folder(run_directory).remove(SUMMARY)  # the journal says all of it
    return search.carry_out(
        executor,
        search.manifest(force=manifest["force"], known=manifest),
        sinks=sinks,
        resumed=True,
        damaged=damage_of(run_directory, records),
    )


def resume(
    run_directory: Path,
    executor: Executor,
    *,
    retry_failed: bool = False,
    sinks: Sequence[Sink] = (),
) -> dict[str, Any]:
    """Continue a run where its journal ends; of a finished run, return its summary.

    Files that were damaged since they were written are made again.

    Args:
        run_directory: The run.
        executor: Where jobs run.
        retry_failed: Train failed trials again and repeat failed audits, also of a finished run.
            Where confirm was read before, what it tests of them from now on is exploratory.
        sinks: Shown every event.

    Raises:
        RunError: If the directory is no run, or its spec or data have changed since.
    """
    manifest = read_manifest(run_directory)
    host, spec = _begun(run_directory, manifest)
    check_complete(run_directory)
    journal = run_directory / "journal.jsonl"
    records = read(journal) if journal.exists() else []
    check_own(records, manifest, resumed=True)
    damaged = damage_of(run_directory, records)
    retried = failed_jobs(records) if retry_failed else ()
    finished = _finished(run_directory, records)
    if finished is not None and not (damaged or retried):
        return finished
    search = PreparedSearch(spec, host, run_directory, manifest)
    search.check_data(manifest)
    search.check_metric()
    return search.carry_out(
        executor, manifest, sinks=sinks, resumed=True, damaged=damaged, retried=retried
    )


def failed_jobs(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the trials and audits of a run that failed, but for those tried again since."""
    events = [record.event for record in effective(records)]
    return tuple(sorted(filter(None, map(failed_job, events))))


def _finished(run_directory: Path, records: Sequence[Record]) -> dict[str, Any] | None:
    """Return the summary of a run that has ended, written anew where it was damaged.

    None where it has not ended, or its students have not been exported.
    """
    if not (run_directory / SUMMARY).exists() or not has_ended(records):
        return None
    summary = summarise(records)
    if missing_exports(run_directory, summary):
        return None
    text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    if (run_directory / SUMMARY).read_bytes() != text.encode("utf8"):
        Folder(run_directory).write(SUMMARY, text)
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
            fix="undo the change, or start a new run; where an addition was interrupted, give the "
            "new spec again by kdsearch run --allow-exploratory",
        )
    return host, spec


def read_manifest(run_directory: Path) -> dict[str, Any]:
    """Read what a run recorded when it began.

    Raises:
        RunError: If the directory is no run.
    """
    file = run_directory / "manifest.json"
    if not file.exists():
        raise RunError(
            "no run directory: no manifest.json",
            where=str(run_directory),
            fix="check the path; begin a run that was stopped before it began by kdsearch run, and "
            "restore the file where a run has lost it",
        )
    return read_sealed(file, optional=True)
