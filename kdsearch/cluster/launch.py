"""Runs a director's jobs on Ray Tune until it has no more."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from kdsearch.cluster.session import check_address, ray_session
from kdsearch.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.search.director import Director
    from kdsearch.spec.models import Resources

GPU_SHARES = (0.125, 0.25, 0.5, 1.0)
"""Fractions are rounded up to one of these: workers are reused only between equal shapes."""


def check_cluster(resources: Resources, address: str | None = None) -> None:
    """Refuse what can be known to be impossible before a cluster is there.

    Raises:
        RunError: If nothing listens at the address, or this machine has too few cores for a trial.
    """
    if address is not None:
        check_address(address)
    else:
        count_slots(
            [{"Alive": True, "Resources": {"CPU": os.cpu_count() or 1}}], {"CPU": resources.cpus}
        )


def run_jobs(
    director: Director, resources: Resources, folder: Path, address: str | None = None
) -> None:
    """Run jobs in parallel until the director has no more.

    Args:
        director: Hands out jobs and takes results.
        resources: Of one trial, and how many run at once.
        folder: Where Ray Tune may keep its own files.
        address: Of a Ray cluster; a local one is started otherwise.

    Raises:
        RunError: If no node has what one trial asks for.
    """
    with ray_session(address) as ray:
        from ray import tune

        from kdsearch.cluster.searcher import DirectedSearcher, StopDecided
        from kdsearch.cluster.trainable import work

        shape = trial_shape(resources)
        slots = count_slots(ray.nodes(), shape)
        searcher = DirectedSearcher(director)
        tuner = tune.Tuner(
            tune.with_resources(work, shape),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=StopDecided(),  # type: ignore[no-untyped-call]  # of Ray
                num_samples=-1,
                max_concurrent_trials=min(slots, resources.max_concurrent or slots),
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder.absolute()),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=resources.max_failures),
            ),
        )
        tuner.fit()
        if searcher.fault is not None:
            raise searcher.fault
    director.finish()


def trial_shape(resources: Resources) -> dict[str, float]:
    """Return the resources of one trial as Ray counts them."""
    shape: dict[str, float] = {"CPU": float(resources.cpus)}
    if resources.gpus > 0:
        whole = math.ceil(resources.gpus) if resources.gpus > 1 else None
        share = next(share for share in GPU_SHARES if share >= min(resources.gpus, 1.0))
        shape["GPU"] = float(whole or share)
    return shape


def count_slots(nodes: list[dict[str, Any]], shape: dict[str, float]) -> int:
    """Return how many trials fit on the cluster at once.

    Raises:
        RunError: If one trial fits on no node; Ray would wait for ever.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    slots = sum(
        min(int(node.get(kind, 0.0) // amount) for kind, amount in shape.items()) for node in alive
    )
    if slots == 0:
        asked = ", ".join(f"{amount:g} {kind}" for kind, amount in shape.items())
        best = {kind: max((node.get(kind, 0.0) for node in alive), default=0.0) for kind in shape}
        found = ", ".join(f"{amount:g} {kind}" for kind, amount in best.items())
        raise RunError(
            f"a trial asks for {asked}, and the largest node has {found}",
            where="resources",
            fix="lower resources.cpus or resources.gpus",
        )
    return slots
