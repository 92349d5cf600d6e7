"""Which nodes of a cluster can run a trial, how many at once, and whether they see the run."""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import RunError
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.spec.models import Resources

GPU_SHARES = (0.125, 0.25, 0.5, 1.0)
"""Fractions are rounded up to one of these: workers are reused only between equal shapes."""

SECONDS_TO_ANSWER = 60.0
"""For a node to start a worker and look for a file."""

Node = dict[str, Any]
"""As `ray.nodes()` describes it."""


def trial_shape(resources: Resources) -> dict[str, float]:
    """Return the resources of one trial as Ray counts them."""
    shape = {"CPU": float(resources.cpus)}
    if resources.gpus > 1:
        shape["GPU"] = float(math.ceil(resources.gpus))
    elif resources.gpus > 0:
        shape["GPU"] = next(share for share in GPU_SHARES if share >= resources.gpus)
    return shape


def slots_of(node: Node, shape: Mapping[str, float]) -> int:
    """Return how many trials fit on a node at once."""
    return min(int(node["Resources"].get(kind, 0.0) // amount) for kind, amount in shape.items())


def fitting(nodes: Sequence[Node], shape: Mapping[str, float]) -> list[Node]:
    """Return the nodes that can run a trial.

    Raises:
        RunError: If there is none; Ray would wait for ever.
    """
    alive = [node for node in nodes if node["Alive"]]
    able = [node for node in alive if slots_of(node, shape)]
    if not able:
        have = sorted(
            {_listed({kind: node["Resources"].get(kind, 0.0) for kind in shape}) for node in alive}
        )
        raise RunError(
            f"a trial asks for {_listed(shape)} on one node; the nodes have {'; '.join(have)}",
            where="resources",
            fix="lower resources.cpus or resources.gpus",
        )
    return able


def count_slots(nodes: Sequence[Node], shape: Mapping[str, float]) -> int:
    """Return how many trials fit on nodes at once."""
    return sum(slots_of(node, shape) for node in nodes)


def check_visible(ray: Any, nodes: Sequence[Node], folder: Path) -> None:
    """Have every node but this one look for a file that is written into a folder.

    Args:
        ray: The module, connected.
        nodes: Those that will run trials.
        folder: Exists here; models, signals and answers will pass through it.

    Raises:
        RunError: If a node does not see the file, cannot run kdsearch, or does not answer.
    """
    here = ray.get_runtime_context().get_node_id()
    others = [node for node in nodes if node["NodeID"] != here]
    if not others:
        return
    marker = folder / f"seen-{uuid.uuid4().hex}"
    own = Folder(folder)
    own.write(marker.name, "")
    try:
        look = ray.remote(num_cpus=0, max_retries=0)(_exists)
        affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        asked = [
            look.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote(marker)
            for node in others
        ]
        for node, answer in zip(others, asked, strict=True):
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            if (fault := _fault(ray, answer)) is not None:
                raise RunError(f"node {name} {fault.what}", where=str(folder), fix=fault.fix)
    finally:
        own.remove(marker.name)


class _Fault(NamedTuple):
    """Why a node is no use, and what to do."""

    what: str
    fix: str


def _fault(ray: Any, answer: Any) -> _Fault | None:
    """Wait for a node's answer and return what is wrong with it; nothing if the node has died."""
    same = "have the same kdsearch on every node"
    try:
        if ray.get(answer, timeout=SECONDS_TO_ANSWER):
            return None
    except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
        return None
    except ray.exceptions.GetTimeoutError:
        return _Fault(f"started no worker within {SECONDS_TO_ANSWER:g} seconds", same)
    except ray.exceptions.RayError as error:
        return _Fault(f"cannot run kdsearch: {str(error).strip().splitlines()[-1]}", same)
    return _Fault("does not see the run directory", "keep it by --run-dir in a shared folder")


def _exists(path: Path) -> bool:
    """Look for a file; runs on the node that is asked."""
    return path.exists()


def _listed(amounts: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind}" for kind, amount in amounts.items())
