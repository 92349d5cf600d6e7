"""Starts or joins a Ray cluster with settings that keep the terminal and the machine ours."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine writes to stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a trial without GPU leaves the variable alone
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of the spec stay valid in workers
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal is the log
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled by the command line
    # A stopped trial may still be writing; below this many seconds a reused actor hangs.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",  # no trial is created before a slot is free
}
"""Read by Ray when it is imported; what the user has set wins."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's switch for machines without cluster: every server then listens on 127.0.0.1 alone."""

OBJECT_STORE_BYTES = 200_000_000
"""Jobs and results are small: models and signals pass through the run directory."""


PROBE_SECONDS = 5.0
"""Ray itself tries for minutes, and says so in its own words."""


def ray_module(*, local: bool = False) -> Any:
    """Import Ray with our environment in place.

    Args:
        local: Whether a cluster is to be started on this machine, for it alone.
    """
    for name, value in {**ENVIRONMENT, **(LOOPBACK if local else {})}.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


@contextmanager
def ray_session(address: str | None) -> Iterator[Any]:
    """Join the cluster at `address`, or start one on this machine; leave what is running alone.

    Yields:
        The Ray module, initialised. A session that this process began is ended afterwards.

    Raises:
        RunError: If there is no cluster at the address.
    """
    ray = ray_module(local=address is None)
    if ray.is_initialized():
        yield ray
        return
    # Trials' faults, dead workers too, are told by the journal: Ray would print their tracebacks.
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    with _own_signals():
        if address is None:
            ray.init(
                address="local",  # without it Ray joins whatever cluster runs on this machine
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            check_address(address)
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise _no_cluster(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Refuse an address with a port at which nothing listens.

    Raises:
        RunError: If so.
    """
    place = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address)
    if place is None:  # such as `auto`, which Ray looks up
        return
    host, port = place.groups()
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> RunError:
    return RunError(f"no Ray cluster answers: {error}", where=address, fix="see `ray status`")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our answer to SIGTERM, if we have one: Ray sets its own, which exits without a word."""
    answer = signal.getsignal(signal.SIGTERM)
    if not callable(answer):
        yield
        return
    try:
        yield
    except SystemExit as ended:  # Ray's answer, while it was the one
        raise KeyboardInterrupt from ended
    finally:
        signal.signal(signal.SIGTERM, answer)
