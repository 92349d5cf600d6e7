"""`kdsearch results`: the answers of runs, also of those still going."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kdsearch.cli.options import json_option
from kdsearch.cli.output import print_json, print_table, say
from kdsearch.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from kdsearch.events import Record

Errors = dict[str, list[dict[str, Any]]]
"""By size, the items that student or teacher has wrong."""


@click.command()
@click.argument(
    "run_directories", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--trials", "with_trials", is_flag=True, help="List every trial of each run.")
@click.option("--errors", "with_errors", is_flag=True, help="Show shortcuts and errors on dev.")
@click.option("--group", metavar="GROUP", help="With --errors: of this group alone.")
@json_option
def results(
    run_directories: tuple[Path, ...],
    with_trials: bool,
    with_errors: bool,
    group: str | None,
    as_json: bool,
) -> None:
    """Show what runs found.

    One run is shown in full, of several a line each.
    """
    runs = [read_run(folder) for folder in run_directories]
    if group is not None and not with_errors:
        raise click.UsageError("--group goes with --errors")
    items = {run.folder: _errors(run, group) for run in runs} if with_errors else {}
    if as_json:
        print_json([_entry(run, items.get(run.folder), with_trials=with_trials) for run in runs])
        return
    from kdsearch.report.tables import results_table, summary_table, trials_table

    if len(runs) == 1:
        print_table(summary_table(runs[0].summary))
    else:
        print_table(results_table([run.summary for run in runs]))
    for run in runs:
        if not run.ended:
            again = f"kdsearch resume {shlex.quote(str(run.folder))}"
            click.echo(f"{run.folder} has not finished; continue with: {again}", err=True)
    for run in runs if with_trials else ():
        say("" if len(runs) == 1 else f"\n{run.folder}")
        print_table(trials_table(run.records))
    for run in runs if with_errors else ():
        from kdsearch.report.error_tables import errors_table

        say("" if len(runs) == 1 else f"\n{run.folder}")
        print_table(errors_table(run.summary, items[run.folder], group))


class Run(NamedTuple):
    """A run directory, read."""

    folder: Path
    records: list[Record]
    summary: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it has its answer."""
        from kdsearch.search.agreement import has_ended

        return has_ended(self.records)


def read_run(folder: Path) -> Run:
    """Read a run's journal and sum it up, with a warning of every file that is damaged."""
    from kdsearch.search.integrity import damage_warnings
    from kdsearch.search.journal import read
    from kdsearch.search.summary import summarise

    journal = folder / "journal.jsonl"
    if not journal.is_file():
        raise RunError("no run directory: it holds no journal.jsonl", where=str(folder))
    records = read(journal)
    summary = summarise(records)
    summary["warnings"] += damage_warnings(folder, records, summary)
    return Run(folder, records, summary)


def _errors(run: Run, group: str | None) -> Errors:
    """Read the items that student or teacher has wrong, of every audited size.

    Raises:
        RunError: If the run was not audited, or has no such group.
    """
    from kdsearch.report.audits import read_errors

    audited = run.summary.get("errors")
    if not audited:
        raise RunError(
            "no student of this run has been audited",
            where=str(run.folder),
            fix="students are audited once the verdicts are there, unless search.audit is false",
        )
    known = {found["group"] for errors in audited.values() for found in errors["groups"]}
    if group is not None and group not in known:
        raise RunError(
            f"no group '{group}': {did_you_mean(group, sorted(known))}", where=str(run.folder)
        )
    return {
        size: read_errors(run.folder, errors["path"], group) for size, errors in audited.items()
    }


def _entry(run: Run, errors: Errors | None, *, with_trials: bool) -> dict[str, Any]:
    entry = {"run": str(run.folder), **run.summary}
    if errors is not None:
        entry["error_items"] = errors
    if with_trials:
        from kdsearch.report.trials import trial_rows

        entry["trial_list"] = [row._asdict() for row in trial_rows(run.records)]
    return entry
