"""What every test may ask for: a host with the toy domain, and the toy spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from kdsearch.plugin.host import Host

# A loaded machine is no fault of the code.
settings.register_profile("kdsearch", deadline=None)
settings.load_profile("kdsearch")

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
