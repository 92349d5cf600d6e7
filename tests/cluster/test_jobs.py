"""Jobs through real Ray: workers are reused, stopped, killed, and given what they cannot have."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from kdsearch.cluster.session import ray_session
from kdsearch.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Desk = Any

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("local_ray")]

QUICK = {"kind": "quick"}


@pytest.fixture(scope="module")
def local_ray(worker_path: None) -> Iterator[Any]:
    with ray_session(None) as ray:
        yield ray


def test_the_next_job_runs_in_the_same_worker(work_off: Callable[..., Desk]) -> None:
    desk = work_off({"a": QUICK, "b": QUICK}, resources={"max_concurrent": 1})
    assert desk.results["a"] == desk.results["b"]
    assert desk.finished


def test_a_stopped_job_that_takes_its_time_leaves_the_worker_to_the_next(
    work_off: Callable[..., Desk],
) -> None:
    jobs = {"a": {"kind": "busy", "tidying": 5}, "b": QUICK}
    desk = work_off(jobs, stop={"a": "decided"}, resources={"max_concurrent": 1})
    assert desk.stopped == {"a": "decided"}
    assert [desk.results["b"]] == desk.progress["a"]


def test_a_worker_that_is_not_free_in_time_fails_the_next_job_and_no_more(
    work_off: Callable[..., Desk],
) -> None:
    jobs = {"a": {"kind": "busy", "tidying": 3, "patience": "1"}, "b": QUICK, "c": QUICK}
    desk = work_off(jobs, stop={"a": "decided"}, resources={"max_concurrent": 1})
    assert desk.failed == {"b": "its worker was still busy with an earlier trial"}
    assert set(desk.results) == {"c"}


def test_a_job_that_raises_fails_alone_with_its_last_line(work_off: Callable[..., Desk]) -> None:
    desk = work_off({"a": {"kind": "raises"}, "b": QUICK})
    assert desk.failed == {"a": "ValueError: no luck"}
    assert set(desk.results) == {"b"}
    assert "raise ValueError" in (desk.run / "failures" / "a.txt").read_text()


def test_a_job_whose_worker_dies_is_started_again(
    work_off: Callable[..., Desk], capfd: pytest.CaptureFixture[str]
) -> None:
    desk = work_off({"a": {"kind": "dies", "times": 1}, "b": QUICK})
    assert len({told["pid"] for told in desk.progress["a"]}) == 2
    assert desk.results["a"] == desk.progress["a"][-1]
    assert not desk.failed
    assert capfd.readouterr() == ("", "")


def test_a_job_whose_worker_dies_too_often_fails(
    work_off: Callable[..., Desk], capfd: pytest.CaptureFixture[str]
) -> None:
    desk = work_off({"a": {"kind": "dies", "times": 2}, "b": QUICK}, resources={"max_failures": 1})
    assert desk.failed == {"a": "its worker died 2 times: the process was killed or crashed"}
    assert set(desk.results) == {"b"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("asked", "words"), [({"gpus": 1}, "1 CPU and 1 GPU"), ({"cpus": 999}, "999 CPU")]
)
def test_what_no_node_has_is_refused_at_once(
    work_off: Callable[..., Desk], asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(RunError, match=f"a trial asks for {words} on one node; the nodes have"):
        work_off({"a": QUICK}, resources=asked)


def test_an_exception_in_the_director_ends_all_and_is_raised(work_off: Callable[..., Desk]) -> None:
    error = KeyError("a fault")

    def fails(job: str, progress: Any) -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        work_off({"a": {"kind": "busy"}, "b": {"kind": "busy"}}, replaced={"progressed": fails})
    assert raised.value is error


def test_a_director_that_fails_at_a_result_is_heard(work_off: Callable[..., Desk]) -> None:
    def fails(job: str, result: Any) -> None:
        raise RunError("the disk is full")

    with pytest.raises(RunError, match="the disk is full"):
        work_off(
            {"a": QUICK, "b": QUICK},
            replaced={"finished_job": fails},
            resources={"max_concurrent": 1},
        )


def test_a_search_that_tune_ends_early_is_not_finished(work_off: Callable[..., Desk]) -> None:
    def signalled(job: str, progress: Any) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(RunError, match=r"before the search had ended .*kdsearch resume"):
        work_off({"a": {"kind": "busy"}}, replaced={"progressed": signalled})


def test_ray_listens_to_this_machine_alone(local_ray: Any) -> None:
    local_ray.get(local_ray.remote(lambda: None).remote())
    driver = psutil.Process()
    sockets = [
        socket.laddr.ip
        for process in [driver, *driver.children(recursive=True)]
        for socket in process.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    ]
    assert len(sockets) > 3
    assert {ip.removeprefix("::ffff:") for ip in sockets} == {"127.0.0.1"}


def test_an_interrupt_goes_through(work_off: Callable[..., Desk]) -> None:
    """Keep it the last test of Ray in this file: what it leaves at work ends with Ray alone."""

    def interrupted(job: str, progress: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off({"a": {"kind": "busy"}}, replaced={"progressed": interrupted})
