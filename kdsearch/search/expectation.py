"""What a search may be expected to cost, by playing it out against worlds that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.events import TrialFinished
from kdsearch.search.policy import Policy
from kdsearch.search.rules import Train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.search.rules import Rules, SizeCost


class Expectation(NamedTuple):
    """The mean over worlds of what is trained until confirm is opened."""

    sizes: float
    """Sizes visited."""
    flops: float
    """Training of their trials."""


def expect(sizes: Sequence[SizeCost], rules: Rules) -> Expectation:
    """Return what the policy trains on average until confirm is opened.

    The smallest size that passes is taken to be each one of the ladder, or none, with the same
    chance. There every configuration is as good as the teacher, below it none knows anything;
    trials run to their end, so that what futility saves comes on top.
    """
    worlds = [_play(sizes, rules, smallest) for smallest in range(len(sizes) + 1)]
    return Expectation(
        sum(world.sizes for world in worlds) / len(worlds),
        sum(world.flops for world in worlds) / len(worlds),
    )


def _play(sizes: Sequence[SizeCost], rules: Rules, smallest: int) -> Expectation:
    """Search in a world whose smallest passing size is known, one job after the other."""
    policy = Policy(sizes, rules)
    costs = {size.name: size.flops for size in sizes}
    passing = {size.name for size in sizes[smallest:]}
    visited: set[str] = set()
    flops = 0.0
    while isinstance(job := policy.next_job(), Train):
        visited.add(job.size)
        flops += costs[job.size]
        policy.apply(_finished(job, rules.dev_items, knows=job.size in passing))
    return Expectation(len(visited), flops)


def _finished(job: Train, items: int, *, knows: bool) -> TrialFinished:
    """Return the answers of a student that knows all that its teacher does, or nothing."""
    return TrialFinished(
        size=job.size,
        trial=job.trial,
        index=job.index,
        seed=job.seed,
        config={},
        score=1.0 if knows else 0.0,
        student_only=0,
        teacher_only=0 if knows else items,
        items=items,
        flops={},
    )
