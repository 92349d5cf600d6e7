"""What every test may ask for: a host with the toy domain, and the toy spec."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from kdsearch.plugin.host import Host

if TYPE_CHECKING:
    from collections.abc import Generator

if "PYTEST_XDIST_WORKER" in os.environ:  # a thread a process: torch takes every core otherwise
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_STATE = tempfile.TemporaryDirectory(prefix="kdsearch-state-")

# A loaded machine is no fault of the code.
settings.register_profile("kdsearch", deadline=None)
settings.load_profile("kdsearch")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Give every fixture that lives longer than a test, and so may search, a ledger of its own."""
    if fixturedef.scope != "function":
        os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(dir=_STATE.name)
    return (yield)


@pytest.fixture(autouse=True)
def own_ledger(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let no test see the ledger of another one, or the user's."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state


FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def toy_plugin() -> Path:
    return FIXTURES / "toy_domain.py"


@pytest.fixture(scope="session")
def toy_spec() -> Path:
    return FIXTURES / "toy.yaml"


@pytest.fixture(scope="session")
def toy_host(toy_plugin: Path) -> Host:
    return Host([toy_plugin])
