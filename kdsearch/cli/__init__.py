"""The command line: options in, calls to the library, tables or JSON out.

Commands import what they need when they run, so that `--help` takes no time and listing, validating
and planning never load torch or Ray. Data go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import click

from kdsearch import __version__
from kdsearch.cli.application import Application
from kdsearch.cli.confirm import confirm
from kdsearch.cli.evaluate import evaluate
from kdsearch.cli.plan import plan
from kdsearch.cli.plugins import plugins
from kdsearch.cli.predict import export, predict
from kdsearch.cli.report import report
from kdsearch.cli.results import results
from kdsearch.cli.run import resume, run
from kdsearch.cli.schema import schema
from kdsearch.cli.validate import validate

__all__ = ["main"]


@click.group("kdsearch", cls=Application, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show faults of kdsearch whole."
)
def main() -> None:
    """Find the smallest distilled student that matches its teacher.

    Start with `kdsearch plan SPEC`: it says what `kdsearch run SPEC` will do and cost.
    """


COMMANDS = (
    validate,
    plan,
    run,
    resume,
    confirm,
    results,
    report,
    evaluate,
    predict,
    export,
    plugins,
    schema,
)
for command in COMMANDS:
    main.add_command(command)
