"""`kdsearch confirm`: add items to confirm where those that a run had did not decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kdsearch.cli.options import address_option, display_option, json_option, run_argument
from kdsearch.cli.run import carried_out, on_ray

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.report.printer import Printer


@click.command()
@run_argument
@click.option(
    "--more",
    "items",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many new items to add, units where they come in units; of several domains, to each.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Where the new items are, as domain.options.path=FILE; in the run's own data otherwise.",
)
@address_option
@display_option
@json_option
def confirm(
    run_directory: Path,
    items: int,
    overrides: tuple[str, ...],
    address: str | None,
    display: str,
    as_json: bool,
) -> int:
    """Test the sizes that are undecided on confirm again, with items added.

    The new test looks at all items, old and new, at a level that counts the looks before it, so
    that the chance of any false match stays as declared. The items come from the run's
    splits.reserve, or from other data by --set. Exit codes are those of `kdsearch run`.
    """
    from kdsearch.run import add_items

    def search(printer: Printer) -> dict[str, Any]:
        return add_items(
            run_directory, items, on_ray(address), overrides=overrides, sinks=[printer]
        )

    return carried_out(search, run_directory, display, as_json=as_json, past=True)
