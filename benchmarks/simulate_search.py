"""Simulate searches on synthetic ladders, and print how sure and how cheap they are.

    python -m benchmarks.simulate_search                    # every table: 12 minutes of one core
    python -m benchmarks.simulate_search --searches 500     # quicker and coarser
    python -m benchmarks.simulate_search --replay RUN       # a recorded run's decisions, again

The policy that is driven here is the very object that drives real runs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.quick_tests import NOW, installed
from benchmarks.rivals import full_grid, mixed_halving, penalised_score
from benchmarks.worlds import REPORTS, TEACHER, Counts, Found, Setting, Trial, World
from kdsearch.events import TrialFinished, TrialProgress, TrialStopped
from kdsearch.search.confirm import confirm_event
from kdsearch.search.cost import Ledger
from kdsearch.search.journal import read
from kdsearch.search.policy import Policy
from kdsearch.search.replay import policy_of
from kdsearch.search.rules import Confirm, Rules, SizeCost, Train
from kdsearch.spec.models import Match, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STEPS = 100
"""Of a trial, so that reports fall on whole steps."""

SLOPES = (0.01, 0.03, 0.06)
"""Points that a size gains until the plateau."""

RESERVE: float = Match.model_fields["reserve"].default
"""Of alpha, for items added later, unless a spec says otherwise."""

WORST = Setting(slope=None, deficit=0.0, seed_noise=0.0)
"""Every size exactly at the margin: each match is false."""


def search(world: World, **changes: Any) -> Found:
    """Run the policy on a world, one trial at a time.

    Args:
        world: Answers every trial.
        changes: Rules that differ from the default ones.
    """
    policy = policy_for(world, **changes)
    ledger = Ledger({size.name: size.flops for size in policy.sizes}, world.grid_flops)
    play(policy, world, ledger)
    return _found(policy, world, ledger)


def policy_for(world: World, **changes: Any) -> Policy:
    """Return the policy of a search on a world; sizes are named by their position."""
    setting = world.setting
    rules = Rules(
        margin=setting.margin,
        dev_items=setting.dev,
        confirm_items=setting.confirm,
        configurations=setting.configurations,
        reserve=RESERVE,
    )
    sizes = [SizeCost(str(place), setting.growth**place) for place in range(setting.sizes)]
    return Policy(sizes, replace(rules, **changes))


def play(policy: Policy, world: World, ledger: Ledger) -> None:
    """Do every job that the policy hands out."""
    while not isinstance(job := policy.next_job(), str):
        if isinstance(job, Confirm):
            _confirm(policy, world, job)
        else:
            train(policy, world, job, ledger)


def train(policy: Policy, world: World, job: Train, ledger: Ledger) -> None:
    """Let a trial report until it ends or is stopped."""
    trial = None if job.index is None else _trial(world, job.size, job.trial)
    reports = trial.reports if trial is not None and policy.rules.futility else ()
    items = world.setting.dev
    for share, seen in zip(REPORTS, reports, strict=False):
        step = round(share * STEPS)
        policy.apply(
            TrialProgress(
                size=job.size,
                trial=job.trial,
                step=step,
                total_steps=STEPS,
                score=_score(seen, items),
                student_only=seen.student_only,
                teacher_only=seen.teacher_only,
                items=items,
            )
        )
        if (reason := policy.stop_reason(job.trial)) is not None:
            stopped = TrialStopped(
                size=job.size,
                trial=job.trial,
                index=job.index,
                seed=job.seed,
                reason=reason,
                step=step,
                flops={"training": ledger.trial_flops[job.size] * share},
            )
            ledger.apply(stopped)
            policy.apply(stopped)
            return
    counts = Counts(0, 0) if trial is None else trial.dev  # a baseline's answers decide nothing
    finished = TrialFinished(
        size=job.size,
        trial=job.trial,
        index=job.index,
        seed=job.seed,
        config={},
        score=_score(counts, items),
        student_only=counts.student_only,
        teacher_only=counts.teacher_only,
        items=items,
        flops={},
    )
    ledger.apply(finished)
    policy.apply(finished)


def _confirm(policy: Policy, world: World, job: Confirm) -> None:
    policy.apply(confirm_event(policy, job.size, *confirm_answers(world, job.size, job.trial)))


def confirm_answers(world: World, size: str, trial: str) -> tuple[list[float], list[float]]:
    """Return what a student and the teacher score on each confirm item."""
    counts = _trial(world, size, trial).confirm
    agreed = world.setting.confirm - counts.student_only - counts.teacher_only
    student = [1.0] * (agreed + counts.student_only) + [0.0] * counts.teacher_only
    teacher = [1.0] * agreed + [0.0] * counts.student_only + [1.0] * counts.teacher_only
    return student, teacher


def _index(trial: str) -> int:
    return int(trial.split("-")[1].removeprefix("c"))


def _trial(world: World, size: str, trial: str) -> Trial:
    return world.trials[int(size)][_index(trial)]


def _score(counts: Counts, items: int) -> float:
    return TEACHER + (counts.student_only - counts.teacher_only) / items


def _found(policy: Policy, world: World, ledger: Ledger) -> Found:
    share, opened = ledger.totals().share_of_grid, bool(policy.tests)
    for test in policy.tests:
        if test.verdict == "match":
            size = int(test.size or "")
            return Found(size, not world.matches(size, _index(test.trial or "")), opened, share)
    return Found(None, False, opened, share)


METHODS: dict[str, Callable[[World], Found]] = {
    "bisect": search,
    "bisect, no futility": partial(search, futility=False),
    "ascend": partial(search, strategy=Strategy.ASCEND),
    "descend": partial(search, strategy=Strategy.DESCEND),
    "exhaustive": partial(search, strategy=Strategy.EXHAUSTIVE),
    "today: full grid, score": full_grid,
    "today: halving over sizes": mixed_halving,
    "today: penalised score": penalised_score,
}
"""By the name in the tables; `exhaustive` sees all that there is to see: the oracle."""

ORACLE = "exhaustive"

OURS = ("bisect", "bisect, no futility")
"""As measured against requirements, and as a spec is searched unless it asks for futility."""


class Figures(NamedTuple):
    """What many searches by one method came to, each a share of them."""

    share: float
    """Mean share of the grid's FLOPs."""
    exact: float
    within_one: float
    """Of the truth: sizes apart, none at all counting as one past the largest."""
    oracle: float
    """Within one size of what the exhaustive search finds on the same items."""
    false_match: float
    false_if_opened: float
    missed: float
    """No match although there is one."""


def run_worlds(setting: Setting, seeds: Sequence[int], methods: Sequence[str]) -> list[Any]:
    """Run methods on worlds; for each world its smallest matching size and what was found."""
    rows = []
    with installed(NOW):
        for seed in seeds:
            world = World(setting, seed)
            rows.append((world.smallest, [METHODS[method](world) for method in methods]))
    return rows


def simulate(
    setting: Setting, searches: int, methods: Sequence[str], processes: int = 1
) -> dict[str, Figures]:
    """Return the figures of each method over the same worlds."""
    chunks = [range(start, searches, processes) for start in range(processes)]
    work = partial(run_worlds, setting, methods=methods)
    if processes == 1:
        rows = work(chunks[0])
    else:
        with ProcessPoolExecutor(processes) as pool:
            rows = [row for chunk in pool.map(work, chunks) for row in chunk]
    oracle = methods.index(ORACLE) if ORACLE in methods else None
    return {
        method: _figures(
            setting.sizes,
            [(truth, found[place], found[oracle or 0]) for truth, found in rows],
            known=oracle is not None,
        )
        for place, method in enumerate(methods)
    }


def _figures(sizes: int, rows: Sequence[tuple[int, Found, Found]], *, known: bool) -> Figures:
    count = len(rows)
    places = [sizes if found.size is None else found.size for _, found, _ in rows]
    best = [sizes if oracle.size is None else oracle.size for _, _, oracle in rows]
    truths = [truth for truth, _, _ in rows]
    apart = [abs(place - truth) for place, truth in zip(places, truths, strict=True)]
    false = sum(found.false_match for _, found, _ in rows)
    existing = [place for place, truth in zip(places, truths, strict=True) if truth < sizes]
    near = sum(abs(place - other) <= 1 for place, other in zip(places, best, strict=True))
    return Figures(
        share=sum(found.share for _, found, _ in rows) / count,
        exact=apart.count(0) / count,
        within_one=sum(distance <= 1 for distance in apart) / count,
        oracle=near / count if known else float("nan"),
        false_match=false / count,
        false_if_opened=false / max(1, sum(found.opened for _, found, _ in rows)),
        missed=existing.count(sizes) / max(1, len(existing)),
    )


HEAD = f"{'':27}{'grid':>7}{'exact':>8}{'within 1':>10}{'oracle':>8}{'false':>8}{'missed':>8}"


def table(title: str, figures: dict[str, Figures]) -> str:
    """Draw one table."""
    lines = [title, HEAD]
    for method, row in figures.items():
        oracle = "-" if math.isnan(row.oracle) else f"{row.oracle:.1%}"
        lines.append(
            f"{method:27}{row.share:7.1%}{row.exact:8.1%}{row.within_one:10.1%}"
            f"{oracle:>8}{row.false_match:8.2%}{row.missed:8.1%}"
        )
    return "\n".join(lines)


class Requirement(NamedTuple):
    """A figure with its limit."""

    name: str
    value: float
    limit: float
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure keeps its limit."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def requirements(
    by_slope: dict[float, dict[str, Figures]], worst: dict[str, Figures]
) -> list[Requirement]:
    """Return what a search must reach."""
    ours = {slope: figures["bisect"] for slope, figures in by_slope.items()}
    checks = []
    for name in OURS:
        checks += [
            Requirement(f"false matches at the margin, {name}", worst[name].false_match, 0.05),
            Requirement("  of those that opened confirm", worst[name].false_if_opened, 0.055),
        ]
    for slope, row in ours.items():
        points = f"at {100 * slope:.0f} points a size"
        checks += [
            Requirement(f"false matches {points}", row.false_match, 0.01),
            Requirement(f"within one size of the oracle {points}", row.oracle, 0.95, False),
            Requirement(f"share of the grid {points}", row.share, 0.20),
        ]
    checks += [
        Requirement("within one size of the truth at 3 points", ours[0.03].within_one, 0.85, False),
        Requirement("missed matches at 3 points", ours[0.03].missed, 0.10),
    ]
    return checks


def report(searches: int, processes: int) -> bool:
    """Print every table; return whether all requirements are met."""
    started = time.perf_counter()
    by_slope = {}
    for slope in SLOPES:
        by_slope[slope] = simulate(Setting(slope=slope), searches, list(METHODS), processes)
        print(table(f"\n{100 * slope:.0f} points a size, {searches:,} ladders", by_slope[slope]))
    sinking = simulate(Setting(hole=0.04), searches // 5, list(METHODS), processes)
    print(table(f"\n3 points a size, larger ones sink, {searches // 5:,} ladders", sinking))
    named = [*OURS, "today: full grid, score"]
    worst = simulate(WORST, searches, named, processes)
    print(table(f"\nevery size exactly at the margin, {searches:,} ladders", worst))
    checks = requirements(by_slope, worst)
    print(f"\n{'must reach':52}{'measured':>9}{'limit':>9}")
    for check in checks:
        bound = "<=" if check.at_most else ">="
        mark = "" if check.met else "  MISSED"
        print(f"{check.name:52}{check.value:9.2%} {bound}{check.limit:6.1%}{mark}")
    print(f"\n{time.perf_counter() - started:.0f} s on {processes} processes")
    return all(check.met for check in checks)


def replay(run: Path) -> None:
    """Check that a recorded run's decisions follow from its results, and print its answer."""
    records = read(run / "journal.jsonl")
    policy = policy_of(records)
    policy.restore(records)
    print(f"{run.name}: {policy.outcome()}. {policy.sentence()}")
    for verdict in policy.verdicts():
        print(f"  {verdict.size:>12}  {verdict.verdict:12} {verdict.reason}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=Path, metavar="RUN")
    options = parser.parse_args()
    if options.replay:
        replay(options.replay)
        return 0
    return 0 if report(options.searches, options.processes) else 1


if __name__ == "__main__":
    sys.exit(main())
