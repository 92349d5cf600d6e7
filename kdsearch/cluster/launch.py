"""Runs a director's jobs on Ray Tune until it has no more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kdsearch.cluster.nodes import check_visible, count_slots, fitting, trial_shape
from kdsearch.cluster.session import LOCAL, check_address, ray_session
from kdsearch.cluster.stalls import STALLS
from kdsearch.errors import RunError
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.search.director import Director
    from kdsearch.spec.models import Resources

STALL_TIMEOUT = 30.0
"""Minutes."""

PERFORM = "kdsearch.distill.jobs:perform"
"""Does one job; named, since torch stays out of the process that directs."""


def check_cluster(resources: Resources, address: str | None = None) -> None:
    """Refuse what can be known to be impossible before a cluster is there.

    Raises:
        RunError: If nothing listens at the address, or this machine has too few cores for a trial.
    """
    if address not in LOCAL:
        check_address(address)
    else:
        cores = {"CPU": float(os.cpu_count() or 1)}
        fitting([{"Alive": True, "Resources": cores}], {"CPU": float(resources.cpus)})


def run_jobs(
    director: Director,
    resources: Resources,
    folder: Path,
    address: str | None = None,
    *,
    perform: str = PERFORM,
    stall_timeout: float = STALL_TIMEOUT,
) -> None:
    """Run jobs in parallel until the director has no more.

    Args:
        director: Hands out jobs and takes results.
        resources: Of one trial, and how many run at once.
        folder: Where Ray Tune may keep its own files; every node must see it.
        address: Of a Ray cluster; a local one is started otherwise.
        perform: The function that does a job in a worker, as `module:function`.
        stall_timeout: Minutes without a report after which a job is ended.

    Raises:
        RunError: If no node has what one trial asks for, a node does not see `folder`, or Tune
            ended before the director did.
        Exception: Whatever the director raised; running trials are stopped first.
    """
    with ray_session(address) as ray:
        from ray import tune
        from ray.tune.search import ConcurrencyLimiter

        from kdsearch.cluster.searcher import DirectedSearcher, NoteLost, StopDecided
        from kdsearch.cluster.trainable import work

        shape = trial_shape(resources)
        nodes = fitting(ray.nodes(), shape)
        slots = count_slots(nodes, shape)
        own = Folder(folder.parent)
        own.make(folder.name)
        own.remove(folder.name, STALLS)  # of an earlier driver's workers
        check_visible(ray, nodes, folder.absolute())
        locks = folder.absolute() / "locks"
        searcher = DirectedSearcher(
            director, perform=perform, locks=locks, stall_timeout=stall_timeout
        )
        limiter = ConcurrencyLimiter(searcher, min(slots, resources.max_concurrent or slots))
        tuner = tune.Tuner(
            tune.with_resources(work, shape),
            tune_config=tune.TuneConfig(
                search_alg=limiter,
                scheduler=StopDecided(searcher),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder.absolute()),
                verbose=0,
                callbacks=[NoteLost(limiter)],
                failure_config=tune.FailureConfig(max_failures=resources.max_failures),
            ),
        )
        tuner.fit()
        if searcher.fault is not None:
            raise searcher.fault
        if not searcher.exhausted:  # Tune ends by itself at SIGUSR1, which batch systems send
            raise RunError(
                "Ray Tune was told to stop before the search had ended",
                where=str(folder.parent),
                fix=f"continue it by `kdsearch resume {folder.parent}`",
            )
    director.finish()
