"""`kdsearch plan`: what a run would do and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kdsearch.cli.options import (
    address_option,
    json_option,
    make_host,
    plugin_options,
    set_option,
    spec_argument,
)
from kdsearch.cli.output import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@spec_argument
@set_option
@address_option
@json_option
@plugin_options
def plan(
    spec_file: Path,
    overrides: tuple[str, ...],
    address: str | None,
    as_json: bool,
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> None:
    """Say what a run would do and what it would cost.

    Nothing is trained, written or downloaded; local data, tokenizers and model headers are read.
    What `kdsearch run` would refuse before its first job is refused here, in the same words.
    """
    from kdsearch.cluster.launch import check_cluster
    from kdsearch.run.checks import checked_plan
    from kdsearch.search.ledger import ConfirmLedger
    from kdsearch.spec.loading import load

    host = make_host(plugin_files, strict=strict)
    loaded = load(spec_file, host, overrides)
    check_cluster(loaded.spec.resources, address)
    with loaded.origin.placed():
        planned = checked_plan(loaded.spec, host, ConfirmLedger()).to_json()
    if as_json:
        print_json(planned)
        return
    from kdsearch.report.tables import plan_table

    print_table(plan_table(planned))
