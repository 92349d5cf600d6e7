from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]


def python(*arguments: object, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(path), "PIP_NO_INDEX": "1"},
        cwd=path.parent,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "plural", "tests"),
    [
        pytest.param("domain", "domains", 9, marks=pytest.mark.slow),
        ("loss", "losses", 8),
        pytest.param("ladder", "ladders", 5, marks=pytest.mark.slow),
    ],
)
def test_what_is_new_installs_is_listed_and_keeps_its_contract(
    kd: Kd, tmp_path: Path, kind: str, plural: str, tests: int
) -> None:
    ended = kd("plugins", "new", kind, "demo_quiz", "--into", tmp_path)
    folder = tmp_path / "kdsearch-demo_quiz"
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (0, f"wrote {folder}")
    next_step = f"next: pip install -e '{folder}[test]' && pytest {folder}"
    assert ended.stdout.splitlines()[1] == next_step
    site = tmp_path / "site"
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site]
    installed = python(*pip, folder, path=site)
    assert installed.returncode == 0, installed.stderr
    listed = json.loads(python("-m", "kdsearch", "plugins", "--json", path=site).stdout)
    assert "kdsearch-demo_quiz" in {each["distribution"] for each in listed[plural]}
    assert listed["problems"] == []
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests", path=site)
    assert tested.returncode == 0, tested.stdout
    assert f"{tests} passed" in tested.stdout
    checked = python("-m", "kdsearch", "plugins", "check", path=site)
    assert checked.stdout == "all plugins are sound\n"  # none is slow to import


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("domain", "Demo", "'Demo' is no name"),
        ("domain", "winogrande", "is there already, by plugin 'commonsense'"),
        ("loss", "soft_labels", "the loss 'soft_labels' is there already"),
        ("ladder", "depth", "the ladder 'depth' is there already"),
    ],
)
def test_a_name_that_does_not_do_is_refused(
    kd: Kd, tmp_path: Path, kind: str, name: str, message: str
) -> None:
    ended = kd("plugins", "new", kind, name, "--into", tmp_path)
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(kd: Kd, tmp_path: Path) -> None:
    assert kd("plugins", "new", "domain", "demo", "--into", tmp_path).exit_code == 0
    again = kd("plugins", "new", "domain", "demo", "--into", tmp_path)
    assert again.exit_code == 2
    assert "nothing is overwritten" in again.stderr
