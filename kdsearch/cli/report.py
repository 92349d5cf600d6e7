"""`kdsearch report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from kdsearch.cli.options import run_argument
from kdsearch.cli.output import say
from kdsearch.storage.folder import write_output


@click.command()
@run_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The page; report.html of the run directory unless given.",
)
def report(run_directory: Path, output: Path | None) -> None:
    """Write a run's answer, scores and trials as one HTML page.

    The page holds its pictures and asks for nothing from elsewhere. It is made from journal and
    summary, also of a run that is still going.
    """
    from kdsearch.cli.results import read_run
    from kdsearch.report.audits import read_errors
    from kdsearch.report.curves import read_curves
    from kdsearch.report.page import render

    run = read_run(run_directory)
    paths = {size: found["path"] for size, found in (run.summary.get("errors") or {}).items()}
    items = {
        size: read_errors(run_directory, path)
        for size, path in paths.items()
        if (run_directory / path).is_file()
    }
    page = run_directory / "report.html" if output is None else output
    trials = read_curves(run_directory, run.summary, run.records)
    text = render(run.summary, run.records, items, trials)
    write_output(page, text)
    say(str(page))
