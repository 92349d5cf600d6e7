"""`kdsearch run` and `kdsearch resume`: carry out a search."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdsearch.cli.interrupts import interruptible
from kdsearch.cli.options import (
    address_option,
    display_option,
    json_option,
    make_host,
    plugin_options,
    run_argument,
    set_option,
    spec_argument,
)
from kdsearch.cli.output import print_json, print_table, say
from kdsearch.errors import ExitCode, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.report.printer import Printer
    from kdsearch.run import Executor


@click.command()
@spec_argument
@click.option(
    "--run-dir",
    "run_directory",
    type=click.Path(path_type=Path),
    help="Where the run is kept; runs/NAME-TIME unless given.",
)
@set_option
@address_option
@display_option
@json_option
@click.option("--force", is_flag=True, help="Go on where teacher, margin or data forbid a match.")
@click.option(
    "--allow-exploratory",
    is_flag=True,
    help="Add sizes or configurations to the run in --run-dir; confirm proves nothing new then.",
)
@click.option("--shared", is_flag=True, help="Let other users read the run directory.")
@plugin_options
def run(
    spec_file: Path,
    run_directory: Path | None,
    overrides: tuple[str, ...],
    address: str | None,
    display: str,
    as_json: bool,
    force: bool,
    allow_exploratory: bool,
    shared: bool,
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> int:
    """Carry out a search, from the teacher to the verdicts.

    Exit codes: 0 a student matched, 1 none did, 2 the spec or its data are wrong, 3 a plugin
    problem, 4 none matched and trials failed, 75 the machine failed, 130 interrupted; of the last
    two the run can be resumed.
    """
    from kdsearch.cluster.launch import check_cluster
    from kdsearch.run import run as carry_out
    from kdsearch.spec.loading import load

    host = make_host(plugin_files, strict=strict)
    loaded = load(spec_file, host, overrides)
    spec = loaded.spec
    check_cluster(spec.resources, address)
    folder = run_directory or Path("runs") / f"{spec.name}-{datetime.now():%Y%m%d-%H%M%S}"

    def search(printer: Printer) -> dict[str, Any]:
        with loaded.origin.placed():
            return carry_out(
                spec,
                host,
                folder,
                on_ray(address),
                force=force,
                allow_exploratory=allow_exploratory,
                shared=shared,
                sinks=[printer],
            )

    past = allow_exploratory and folder.exists()
    return carried_out(search, folder, display, as_json=as_json, past=past)


@click.command()
@run_argument
@click.option("--retry-failed", is_flag=True, help="Train the trials that failed again.")
@address_option
@display_option
@json_option
def resume(
    run_directory: Path, retry_failed: bool, address: str | None, display: str, as_json: bool
) -> int:
    """Continue a run that was interrupted.

    Files that were damaged are made again. Of a finished run, show its answer and end with its exit
    code.
    """
    from kdsearch.run import resume as carry_on

    def search(printer: Printer) -> dict[str, Any]:
        executor = on_ray(address)
        return carry_on(run_directory, executor, retry_failed=retry_failed, sinks=[printer])

    return carried_out(search, run_directory, display, as_json=as_json, past=True)


def on_ray(address: str | None) -> Executor:
    """Return an executor that runs jobs on Ray, loaded when the first one is there."""

    def execute(director: Any, spec: Any, folder: Path) -> None:
        from kdsearch.cluster.launch import run_jobs

        minutes = spec.stage.train.stall_timeout
        run_jobs(director, spec.resources, folder, address, stall_timeout=minutes)

    return execute


def carried_out(
    search: Callable[[Printer], dict[str, Any]],
    folder: Path,
    display: str,
    *,
    as_json: bool,
    past: bool = False,
) -> int:
    """Run a search under a display, print its answer, and return the exit code."""
    from kdsearch.report.printer import printer_for
    from kdsearch.search.journal import read
    from kdsearch.search.summary import exit_code

    journal = folder / "journal.jsonl"
    known = read(journal) if past and journal.exists() else ()
    try:
        with interruptible(), printer_for(display, past=known) as printer:
            summary = search(printer)
    except KeyboardInterrupt:
        say("interrupted", err=True)
        if folder.exists():
            say(f"continue with: kdsearch resume {shlex.quote(str(folder))}", err=True)
        return ExitCode.INTERRUPTED
    except StorageError as error:
        if not (folder / "manifest.json").exists():
            raise
        advice = f"{error.fix}; " if error.fix else ""
        again = f"{advice}continue with: kdsearch resume {shlex.quote(str(folder))}"
        raise StorageError(error.message, where=error.where, fix=again) from error
    if as_json:
        print_json(summary)
    else:
        from kdsearch.report.tables import summary_table

        print_table(summary_table(summary))
        say(f"kept in {folder}", err=True)
        if more := summary.get("more_items"):
            command = f"kdsearch confirm {shlex.quote(str(folder))} --more {more}"
            say(f"add items that may decide: {command}", err=True)
        if (folder / "failures").is_dir():
            say(f"tracebacks of what failed are in {folder / 'failures'}", err=True)
    return exit_code(summary)
