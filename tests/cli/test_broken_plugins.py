"""Broken distributions: each alone, where a spec needs it and where not, and all at once."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.broken_plugins import BROKEN, Broken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of the path, to install into."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_distribution_fails_only_the_spec_that_needs_it(
    kd: Kd, site: Path, toy_plugin: Path, toy_spec: Path, broken: Broken
) -> None:
    broken.install(site)
    asked = ("validate", toy_spec, "--plugin", toy_plugin)
    unrelated = kd(*asked)
    assert (unrelated.exit_code, unrelated.stdout.splitlines()[0]) == (
        0,
        f"{toy_spec} is a valid spec",
    )
    listed = kd("plugins", "--json").json["problems"]
    if broken.at_use:
        assert (unrelated.stderr, listed) == ("", [])
    else:
        assert unrelated.stderr.startswith("warning: plugin '")
        assert unrelated.stderr.count("\n") == 1
        assert broken.name in unrelated.stderr
        assert broken.name in str(listed)
        assert len(listed) == 1
    needing = kd(*asked, "--set", broken.setting)
    assert needing.exit_code == 3
    assert broken.name in needing.stderr
    for stderr in (unrelated.stderr, needing.stderr):
        assert "Traceback" not in stderr
        assert "\x1b" not in stderr


def test_all_at_once_are_named_by_a_new_process(
    tmp_path: Path, toy_plugin: Path, toy_spec: Path
) -> None:
    """In a process of its own: pydantic, too, reads every distribution once it is imported."""
    for broken in BROKEN:
        broken.install(tmp_path)
    path = os.pathsep.join(filter(None, [str(tmp_path), *sys.path]))
    ended = subprocess.run(
        [sys.executable, "-m", "kdsearch", "validate", toy_spec, "--plugin", toy_plugin],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = ended.stderr.splitlines()
    assert len(told) == sum(not broken.at_use for broken in BROKEN)
    assert all(line.startswith("warning: plugin '") for line in told)
