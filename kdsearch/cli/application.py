"""Ends every command with one clear line and the right exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from kdsearch.cli.output import say
from kdsearch.errors import ExitCode, KdsearchError
from kdsearch.masking import masked
from kdsearch.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence


class Application(click.Group):
    """A group that lists its commands in the order of their use and renders errors itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands as they were added."""
        return list(self.commands)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(arguments, prog_name, complete_var, False, **extra)
        # Reading its plugins, pydantic fails on any installed distribution that is damaged.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        if logging.lastResort is not None:
            logging.lastResort.setFormatter(_Calm())
        try:
            code = super().main(arguments, prog_name, complete_var, False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has gone; Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = ExitCode.NO_MATCH
        except BaseException as error:  # the last place where an error can be told
            if isinstance(error, SystemExit) and _raised_by_click(error):
                raise  # it ends so where the reader has gone
            code = _tell(error, whole="--traceback" in arguments)
        sys.exit(int(code or 0))


def _raised_by_click(error: BaseException) -> bool:
    """Whether click itself raised an error, and no command."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__") == "click.core"


class _Calm(logging.Formatter):
    """Shows what a plugin logs as our own warnings are."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(masked(f"{record.levelname.lower()}: {record.getMessage()}"))


def _tell(error: BaseException, *, whole: bool) -> ExitCode:
    """Say what went wrong on stderr, and return the exit code for it."""
    if isinstance(error, KdsearchError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return ExitCode.USAGE
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "kdsearch"
        _say(f"{error.format_message()} (see `{command} --help`)")
        return ExitCode.USAGE
    if whole:
        say(masked("".join(traceback.format_exception(error)).rstrip("\n")), err=True)
    fault = " ".join(traceback.format_exception_only(error)[-1].split())
    advice = "" if whole else " (see all of it by `kdsearch --traceback …`)"
    _say(f"a fault of kdsearch itself: {fault}{advice}")
    return ExitCode.INTERNAL


def _say(message: str) -> None:
    for line in masked(message).strip("\n").split("\n"):
        say(f"error: {line}", err=True)
