"""`kdsearch plan`: what a run would do and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kdsearch.cli.options import json_option, make_host, plugin_options, set_option, spec_argument
from kdsearch.cli.output import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@spec_argument
@set_option
@json_option
@plugin_options
def plan(
    spec_file: Path,
    overrides: tuple[str, ...],
    as_json: bool,
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> None:
    """Say what a run would do and what it would cost.

    Nothing is trained, written or downloaded; local data and model headers are read.
    """
    from kdsearch.plan import make_plan
    from kdsearch.search.ledger import ConfirmLedger
    from kdsearch.spec.loading import load

    host = make_host(plugin_files, strict=strict)
    loaded = load(spec_file, host, overrides)
    with loaded.origin.placed():
        planned = make_plan(loaded.spec, host, ledger=ConfirmLedger()).to_json()
    if as_json:
        print_json(planned)
        return
    from kdsearch.report.tables import plan_table

    print_table(plan_table(planned))
