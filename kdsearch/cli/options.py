"""The options that several commands share, and the host that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kdsearch.cli.output import say
from kdsearch.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.plugin.host import Host

    Function = TypeVar("Function", bound=Callable[..., Any])

spec_argument = click.argument("spec_file", metavar="SPEC", type=click.Path(path_type=Path))
run_argument = click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the spec, as if the file were edited: train.max_steps=100.",
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of a domain, as winogrande.path=DATA, or a value of prompt, evaluation, splits "
    "or search.seed as in a spec.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
address_option = click.option(
    "--address", metavar="ADDRESS", help="A running Ray cluster; one is started here otherwise."
)
display_option = click.option(
    "--display",
    type=click.Choice(["auto", "rich", "plain", "jsonl", "none"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr.",
)


def plugin_options(function: Function) -> Function:
    """Add --plugin and --strict-plugins."""
    files = click.option(
        "--plugin",
        "plugin_files",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Load a Python file as a plugin too.",
    )
    strict = click.option(
        "--strict-plugins", "strict", is_flag=True, help="Let any problem of a plugin end it."
    )
    return files(strict(function))


def make_host(plugin_files: tuple[Path, ...], *, strict: bool, quiet: bool = False) -> Host:
    """Discover the plugins; their problems are warnings on stderr, or with `strict` the end.

    Raises:
        PluginError: If there is any problem and `strict` is set.
    """
    from kdsearch.errors import PluginError
    from kdsearch.plugin.host import Host

    host = Host(plugin_files)
    if strict and host.problems:
        raise PluginError("\n".join(map(str, host.problems)))
    for problem in () if quiet else host.problems:
        say(f"warning: {masked(str(problem))}", err=True)
    return host
