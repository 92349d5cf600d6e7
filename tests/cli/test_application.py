from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from kdsearch.cli.application import Application
from kdsearch.errors import PluginError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, the package importable."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        check=False,
    )


COLD = """
import sys
from kdsearch.cli import main
try:
    main({arguments!r}, prog_name="kdsearch")
except SystemExit as ended:
    heavy = sorted({{"torch", "transformers", "datasets", "ray"}} & set(sys.modules))
    print(ended.code, heavy, file=sys.stderr)
"""

TOY = ["tests/fixtures/toy.yaml", "--plugin", "tests/fixtures/toy_domain.py"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugins"],
        ["plugins", "check"],
        ["schema"],
        ["validate", *TOY],
        ["plan", *TOY],
        ["plan", *TOY, "--json"],
        ["run", "--help"],
    ],
)
def test_no_command_but_run_loads_a_heavy_library(arguments: list[str]) -> None:
    ended = python("-c", COLD.format(arguments=arguments))
    assert ended.stderr.strip() == "0 []"
    assert ended.stdout


def test_help_loads_no_pydantic_either() -> None:
    code = COLD.replace('"torch"', '"pydantic", "rich", "ruamel.yaml", "pluggy"')
    assert python("-c", code.format(arguments=["--help"])).stderr.strip() == "0 []"


def test_the_module_is_the_command() -> None:
    ended = python("-m", "kdsearch", "--version")
    assert ended.stdout.startswith("kdsearch ")


def raising(error: BaseException) -> Application:
    """Return an application whose only command raises."""
    application = Application("kdsearch", params=[click.Option(["--traceback"], is_flag=True)])
    application.callback = lambda **_: None

    @application.command()
    def fail() -> None:
        raise error

    return application


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (SpecError("bad", where="s:1:2", fix="mend it"), 2, "error: s:1:2: bad (mend it)\n"),
        (SpecError("one\ntwo"), 2, "error: one\nerror: two\n"),
        (PluginError("broken"), 3, "error: broken\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (ZeroDivisionError("x"), 70, "error: a fault of kdsearch itself: ZeroDivisionError: x"),
    ],
)  # fmt: skip
def test_an_error_is_told_in_a_line_with_its_code(
    error: BaseException, code: int, stderr: str
) -> None:
    ended = CliRunner().invoke(raising(error), ["fail"])
    assert ended.exit_code == code
    assert ended.stderr.startswith(stderr)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_a_traceback_is_shown_when_asked_for() -> None:
    ended = CliRunner().invoke(raising(ZeroDivisionError("x")), ["--traceback", "fail"])
    assert ended.exit_code == 70
    assert "Traceback (most recent call last)" in ended.stderr


def test_a_logged_warning_looks_like_one_of_ours() -> None:
    application = Application("kdsearch")
    application.command("warn")(lambda: None)
    record = logging.LogRecord("some_plugin", logging.WARNING, "", 0, "odd: %d", (3,), None)
    CliRunner().invoke(application, ["warn"])
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == "warning: odd: 3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate"], "error: Missing argument 'SPEC'. (see `kdsearch validate --help`)"),
        (["validate", "--foo"], "error: No such option '--foo'"),
        (["paln"], "error: No such command 'paln'"),
        (["run", "x", "--display", "loud"], "error: Invalid value for '--display'"),
    ],
)
def test_a_usage_error_is_one_line(
    kd: Callable[..., Any], arguments: list[str], message: str
) -> None:
    ended = kd(*arguments)
    assert ended.exit_code == 2
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_no_fault() -> None:
    command = f"{sys.executable} -m kdsearch schema | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SpecError("a \x1b[2J\r\u202eb\ud800"), r"error: a \x1b[2J\r\u202eb\ud800"),
        (
            ValueError("\x1b]0;x\x07"),
            r"error: a fault of kdsearch itself: ValueError: \x1b]0;x\x07",
        ),
        (click.UsageError("\x9b31m"), r"error: \x9b31m (see"),
    ],
)
def test_an_error_is_shown_and_not_obeyed(error: Exception, told: str) -> None:
    for options in ([], ["--traceback"]):
        ended = CliRunner().invoke(raising(error), [*options, "fail"], color=True)
        assert told in ended.stderr
        assert not {"\x1b", "\x9b", "\r", "\u202e", "\x07"} & set(ended.stderr)


@pytest.mark.parametrize(
    "error", [SystemExit(0), GeneratorExit(), type("Own", (BaseException,), {})()]
)
def test_a_command_that_something_else_ends_is_a_fault(error: BaseException) -> None:
    ended = CliRunner().invoke(raising(error), ["fail"])
    assert ended.exit_code == 70
    assert ended.stderr.startswith("error: a fault of kdsearch itself: ")
