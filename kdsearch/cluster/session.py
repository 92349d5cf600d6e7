"""Starts or joins a Ray cluster with settings that keep the terminal and the machine ours."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine writes to stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a trial without GPU leaves the variable alone
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of the spec stay valid in workers
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray tells of dead workers on stdout; the journal does it
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal is the log
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled by the command line
    # A stopped trial may still be writing; below this many seconds a reused actor hangs.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
}
"""Read by Ray when it is imported; what the user has set wins."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's switch for machines without cluster: every server then listens on 127.0.0.1 alone."""

JOINING = {"RAY_NUM_REDIS_GET_RETRIES": "1"}
"""One attempt waits half a minute for what listens there to answer; Ray would make twenty."""

LOCAL = (None, "local")
"""The addresses that stand for a cluster of our own."""

OBJECT_STORE_BYTES = 200_000_000
"""Jobs and results are small: models and signals pass through the run directory."""

PROBE_SECONDS = 5.0
"""Ray itself tries for minutes, and says so in its own words."""


def ray_module(*, local: bool = False) -> Any:
    """Import Ray with our environment in place.

    Args:
        local: Whether a cluster is to be started on this machine, for it alone.
    """
    for name, value in {**ENVIRONMENT, **(LOOPBACK if local else JOINING)}.items():
        os.environ.setdefault(name, value)
    import ray

    _keep_quiet()
    return ray


def _keep_quiet() -> None:
    """Let Ray skip its own messages also where a plugin imported it before us.

    It prints them whatever its log level is: at a memory kill the commands of other processes.
    """
    skipped = re.compile(os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"])
    module = import_module("ray._private.ray_logging")
    for name in ("stdout_deduplicator", "stderr_deduplicator"):
        if (printer := getattr(module, name, None)) is not None:
            printer.skip_re = skipped


@contextmanager
def ray_session(address: str | None) -> Iterator[Any]:
    """Join the cluster at `address`, or start one on this machine; leave what is running alone.

    Yields:
        The Ray module, initialised. A session that this process began is ended afterwards.

    Raises:
        RunError: If there is no cluster at the address, or a local one would be open to others.
    """
    ray = ray_module(local=address in LOCAL)
    if ray.is_initialized():
        yield ray
        return
    # Trials' faults, dead workers too, are told by the journal: Ray would print their tracebacks.
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    with _own_signals():
        if address in LOCAL:
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
        if address in LOCAL:
            _check_closed(ray)
        yield ray
    finally:
        ray.shutdown()


def _check_closed(ray: Any) -> None:
    """Make sure that nobody else reaches a local cluster: who does can run code in it.

    Raises:
        RunError: If it listens to the network, unless the user's environment asks for that.
    """
    open_to = {node["NodeManagerAddress"] for node in ray.nodes()} - {"127.0.0.1"}
    if open_to and all(os.environ[name] == value for name, value in LOOPBACK.items()):
        raise RunError(
            f"Ray listens on {', '.join(sorted(open_to))}: it was imported before kdsearch could "
            "keep it to this machine",
            fix="import ray inside the functions of your plugin or script",
        )


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
