"""How long a search may still take, from the pace so far: a guide for the reader, no promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.report.state import TrialStatus
from kdsearch.search.evidence import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.report.state import RunState, TrialState

LEAST_SHARE = 0.5
"""Of a trial's steps, to be done before the pace is worth telling."""


def seconds_left(state: RunState, elapsed: float) -> float | None:
    """Return the seconds that the rest is expected to take at the pace so far.

    The pace is planned training FLOPs a second since the teacher was ready. The rest is what runs,
    the trials that open sizes have left, and a plain bisection of the sizes between them, each of
    which is taken to be the smallest passing one with the same chance.

    Args:
        state: The run.
        elapsed: Seconds into it.

    Returns:
        None while there is no pace yet, or once the run is finished.
    """
    searching = elapsed - state.searching_since
    trials_done = sum(trial.share_done for trial in state.trials.values())
    if state.finished or state.teacher is None or trials_done < LEAST_SHARE or searching <= 0:
        return None
    work = state.share_of_grid * state.plan.grid_flops
    return _work_left(state) * searching / work if work else None


def _work_left(state: RunState) -> float:
    costs, each = state.plan.trial_flops, state.plan.trials_per_size
    running = sum(
        (1.0 - trial.share_done) * costs.get(trial.size or "", 0.0) for trial in state.running
    )
    if any(size.alpha is not None for size in state.sizes.values()):
        return running  # confirm is open: its sizes may still be trained, and rarely are
    visited = {trial.size for trial in state.trials.values()}
    bracket = _bracket(state)
    open_sizes = [name for name in bracket if name in visited]
    to_start = sum((each - len(state.trials_of(name))) * costs[name] for name in open_sizes)
    whole = [each * costs[name] for name in bracket]
    if not open_sizes:
        return running + expected_cost(whole)
    middle = bracket.index(open_sizes[0])
    return running + to_start + _sides(whole, middle)


def expected_cost(costs: Sequence[float]) -> float:
    """Return what a bisection of these sizes costs, every answer being as likely."""
    if not costs:
        return 0.0
    middle = len(costs) // 2
    return costs[middle] + _sides(costs, middle)


def _sides(costs: Sequence[float], middle: int) -> float:
    """Return the cost after the middle was tried: of the smaller ones, or of the larger."""
    smaller, larger = costs[:middle], costs[middle + 1 :]
    answers = len(costs) + 1
    return (
        (len(smaller) + 1) * expected_cost(smaller) + (len(larger) + 1) * expected_cost(larger)
    ) / answers


def _bracket(state: RunState) -> list[str]:
    """Return the undecided sizes above what failed and below what passed, in ascending order."""
    ladder = sorted(state.plan.sizes, key=lambda name: state.plan.sizes[name])
    high = min((place for place, name in enumerate(ladder) if passes(state, name)), default=None)
    below = ladder[:high]
    decided = [place for place, name in enumerate(below) if state.sizes[name].verdict is not None]
    return below[max(decided, default=-1) + 1 :]


def passes(state: RunState, size: str) -> bool:
    """Whether one of a size's finished configurations passed on dev."""
    finished = [
        trial
        for trial in state.trials_of(size)
        if trial.status is TrialStatus.FINISHED and trial.index is not None
    ]
    return any(_passes(state, trial) for trial in finished)


def _passes(state: RunState, trial: TrialState) -> bool:
    rules = state.plan.rules
    return rules is not None and trial.answers is not None and weigh(trial.answers, rules).passes
