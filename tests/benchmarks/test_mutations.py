"""A small share of `python -m benchmarks.mutations`, and that its judge sees what is wrong."""

from __future__ import annotations

from typing import Any

import click
import pytest

from benchmarks import mutations
from benchmarks.mutations import Ended, ended, specs, tables
from benchmarks.sound_tables import SOUND


def test_mutated_tables_are_told_by_file_or_plugin() -> None:
    found: list[Ended] = []
    tables(60, 0, found.append)
    assert [each for each in found if each.violation] == []
    assert {each.code for each in found} == {0, 2}


def test_mutated_specs_are_told_by_line() -> None:
    found: list[Ended] = []
    specs(60, 0, found.append)
    assert [each for each in found if each.violation] == []
    assert {each.code for each in found} == {0, 2}


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: f"{sound.domain} {sound.file}")
def test_what_is_mutated_is_sound_before(sound: Any, tmp_path: Any) -> None:
    spec = sound.write(tmp_path, sound.text.encode())
    loaded = [f"--plugin={tmp_path / file}" for file in sound.beside if file.endswith(".py")]
    assert ended("sound", ["plan", spec, *loaded], []) == Ended("sound", 0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("raise ZeroDivisionError", "exit code 1"),
        ("raise GeneratorExit", "it raised GeneratorExit"),
        ("click.echo('x \\x1b[2J'); context.exit(2)", "control characters"),
        ("click.echo('Traceback ...', err=True); context.exit(2)", "a traceback"),
        ("context.exit(2)", "no error is told"),
        ("click.echo('error: bad', err=True); context.exit(2)", "nothing is named: error: bad"),
    ],
)
def test_the_judge_sees_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, error: str, told: str
) -> None:
    @click.command()
    @click.pass_context
    def faulty(context: click.Context) -> None:
        exec(error, {"click": click, "context": context})

    monkeypatch.setattr(mutations, "kdsearch", faulty)
    assert ended("it", [], ["file.csv"]).violation.startswith(told)
