"""Sessions: who can reach a local one, and what is said where there is none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kdsearch.cluster import session
from kdsearch.cluster.launch import check_cluster
from kdsearch.cluster.session import check_address, ray_session
from kdsearch.errors import RunError
from kdsearch.spec.models import Resources

LATE = """
import ray
from kdsearch.cluster.session import ray_session
with ray_session(None):
    print("open to all")
"""


@pytest.mark.cluster
def test_a_session_that_others_could_reach_is_refused() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", LATE], env=kept, capture_output=True, text=True, check=False
    )
    assert ended.stdout == ""
    assert "it was imported before kdsearch could keep it to this machine" in ended.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nothing_listens_is_refused_at_once(form: str) -> None:
    address = form.format(free_port())
    with pytest.raises(RunError, match="no Ray cluster answers") as caught:
        check_cluster(Resources(), address)
    assert caught.value.where == address


def test_an_address_that_answers_or_that_ray_looks_up_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")
    check_address("auto")


def test_a_trial_that_no_machine_could_hold_is_refused_before_a_cluster_starts() -> None:
    with pytest.raises(RunError, match="a trial asks for 10000 CPU") as caught:
        check_cluster(Resources(cpus=10_000))
    assert caught.value.where == "resources"
    check_cluster(Resources())


def test_without_an_address_a_cluster_of_our_own_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}
    ray = SimpleNamespace(is_initialized=bool, init=asked.update, shutdown=asked.clear, nodes=list)
    monkeypatch.setattr(session, "ray_module", lambda **_: ray)
    with ray_session(None):
        assert asked["address"] == "local"
    assert asked == {}


def test_an_answer_to_sigterm_outlives_rays_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(**_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)

    ray = SimpleNamespace(is_initialized=bool, init=start, shutdown=lambda: None, nodes=list)
    monkeypatch.setattr(session, "ray_module", lambda **_: ray)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), ray_session(None):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


MEMORY_KILL = """
import ray
from ray._private.worker import print_to_stdstream
from kdsearch.cluster.session import ray_module
told = {"lines": ["Task failed.\\nTop 10 memory users:\\n1 2GB a --token b"], "pid": "raylet"}
for place in (False, True):
    print_to_stdstream({**told, "is_err": place}, ignore_prefix=False)
ray_module(local=True)
print("ours from here")
for place in (False, True):
    print_to_stdstream({**told, "is_err": place}, ignore_prefix=False)
"""


def test_ray_prints_no_commands_of_other_processes_also_if_imported_before_us() -> None:
    command = [sys.executable, "-c", MEMORY_KILL]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=bare)
    before, ours, after = ended.stdout.partition("ours from here\n")
    assert "--token" in before  # else Ray has learned to be quiet
    assert (ours != "", after) == (True, "")
    assert ended.stderr.count("--token") == 1
