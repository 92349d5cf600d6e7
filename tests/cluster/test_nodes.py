"""Several nodes, here on one machine: shares of a GPU, a node that dies, one that sees nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.cluster.nodes import count_slots, fitting, trial_shape
from kdsearch.cluster.session import ray_module, ray_session
from kdsearch.errors import RunError
from kdsearch.spec.models import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL: dict[str, Any] = {"Alive": True, "Resources": {"CPU": 2.0}}
GPU: dict[str, Any] = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
DEAD: dict[str, Any] = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}


@pytest.mark.parametrize(
    ("asked", "gpus"), [(0, None), (0.1, 0.125), (0.3, 0.5), (0.5, 0.5), (0.7, 1), (1, 1), (2, 2)]
)
def test_shares_of_a_gpu_are_rounded_up(asked: float, gpus: float | None) -> None:
    assert trial_shape(Resources(gpus=asked)).get("GPU") == gpus


@pytest.mark.parametrize(
    ("asked", "slots"),
    [({}, 10), ({"cpus": 2}, 5), ({"cpus": 3}, 2), ({"gpus": 0.25}, 8), ({"gpus": 2}, 1)],
)
def test_trials_are_counted_node_by_node(asked: dict[str, Any], slots: int) -> None:
    shape = trial_shape(Resources(**asked))
    assert count_slots(fitting([SMALL, GPU, DEAD], shape), shape) == slots


def test_a_trial_must_fit_on_one_node() -> None:
    with pytest.raises(RunError, match="9 CPU on one node; the nodes have 2 CPU; 8 CPU "):
        fitting([SMALL, GPU, DEAD], trial_shape(Resources(cpus=9)))


@pytest.fixture(scope="module")
def cluster(worker_path: None) -> Iterator[Any]:
    """Join a cluster of a head and two nodes with a GPU that is none."""
    ray_module(local=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    with ray_session(cluster.address):
        for _ in range(2):
            cluster.add_node(num_cpus=4, num_gpus=1)
        yield cluster
    cluster.shutdown()


@pytest.mark.cluster
def test_trials_share_a_gpu(cluster: Any, work_off: Callable[..., Any]) -> None:
    jobs = {f"job-{number}": {"kind": "meets", "others": 8} for number in range(8)}
    desk = work_off(jobs, resources={"gpus": 0.25})
    assert not desk.failed
    assert [result["gpu"] for result in desk.results.values()] == ["0"] * 8


@pytest.mark.cluster
def test_a_node_that_does_not_see_the_run_is_named(
    cluster: Any, work_off: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("/proc/self/cwd")  # another folder in each process
    with pytest.raises(RunError, match=r"node \S+ \(127.0.0.1\) does not see the run directory"):
        work_off({"a": {"kind": "quick"}}, run=own)


@pytest.mark.cluster
def test_a_job_goes_on_on_another_node_when_its_own_dies(
    cluster: Any, work_off: Callable[..., Any]
) -> None:
    lost: list[str] = []

    def lose(job: str, progress: Any) -> None:
        if not lost:
            lost.append(progress["node"])
            (node,) = (node for node in cluster.worker_nodes if node.node_id == lost[0])
            cluster.remove_node(node, allow_graceful=False)

    desk = work_off({"a": {"kind": "moves"}}, resources={"gpus": 1}, replaced={"progressed": lose})
    assert not desk.failed
    assert desk.results["a"]["node"] not in lost
