"""Rules for a search that were tried beside the one that the policy has, on the same worlds."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.quick_tests import FORMER_SEARCH, NOW, Method, installed, quick_tango
from benchmarks.simulate_search import confirm_answers, policy_for, train
from benchmarks.worlds import World
from kdsearch.events import ConfirmOpened
from kdsearch.search import confirm, route
from kdsearch.search.confirm import confirm_event
from kdsearch.search.cost import Ledger
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.route import Route
from kdsearch.search.rules import Confirm
from kdsearch.stats.paired import PairedTest, alpha_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.worlds import Setting
    from kdsearch.search.policy import Policy

ALPHA = 0.05

NEVER = 2.0
"""No chance to be confirmed is as large."""


class Rule(NamedTuple):
    """A rule for whole searches."""

    name: str
    patches: tuple[Any, ...] = ()
    reserve: float = 0.1
    more: int = 0
    """Items that are added once for sizes that are undecided."""
    downward: bool = False
    """Test from the largest size down instead, each at all of alpha, until one does not match."""


class Answered(NamedTuple):
    """What a search answered."""

    size: int | None
    undecided: bool
    false: bool


def betting_test(
    student_only: int, teacher_only: int, items: int, margin: float, confidence: float
) -> PairedTest:
    """Test by a betting confidence sequence, the items in a random order.

    Capital is staked on the mean of the differences being above the null, and a match is declared
    once it reaches one over alpha (Waudby-Smith & Ramdas 2024, Journal of the Royal Statistical
    Society B 86:1-27).
    """
    values = np.repeat([1.0, -1.0, 0.0], [
        student_only, teacher_only, items - student_only - teacher_only,
    ])  # fmt: skip
    np.random.default_rng((student_only, teacher_only, items)).shuffle(values)
    capital = log_capital(values[None], margin, 1.0 - confidence)[0].max()
    passes = bool(capital >= -math.log(1.0 - confidence))
    return PairedTest(float(capital), math.exp(-max(0.0, float(capital))), -1.0, 1.0, passes)


def log_capital(values: Any, margin: float, alpha: float) -> Any:
    """Return the logarithm of the capital after each item: (sequences, items).

    The stake is the one of their section 3.3 tuned to the number of items at hand, from the mean
    square so far: the kindest that needs no knowledge of what follows.
    """
    items = values.shape[1]
    gains = values + margin
    seen = np.arange(1, items + 1)
    square = (0.25 + np.cumsum(gains**2, axis=1)) / (seen + 1)
    before = np.concatenate([np.full((len(values), 1), 0.25), square[:, :-1]], axis=1)
    stakes = np.sqrt(-2.0 * math.log(alpha) / (items * before))
    return np.cumsum(np.log1p(np.minimum(stakes, 0.75 / (1.0 - margin)) * gains), axis=1)


def _whole(self: Any, position: int) -> str:
    """Give all of alpha to the candidate."""
    self.shares[position], self.unspent = self.unspent, 0.0
    self.focus, self.awaiting = None, position
    return "confirm tests the candidate"


def _stop(self: Any, position: int) -> str:
    self.focus = None
    return "the search is over"


NO_HOPE = (route, "LEAST_HOPE", NEVER)

RULES = (
    Rule("former shares, nothing if none passes dev", FORMER_SEARCH, 0.0),
    Rule("halving, nothing if none passes dev", (NO_HOPE,), 0.0),
    Rule("halving, best hope tested, reserve 0", (), 0.0),
    Rule("halving, best hope tested, reserve .1", (), 0.1),
    Rule("halving, best hope tested, reserve .2", (), 0.2),
    Rule("whole alpha on the candidate", ((Route, "_test", _whole), (Route, "_climb", _stop)), 0.0),
    Rule("from the largest down, alpha each", (), 0.0, downward=True),
    Rule("halving by betting, reserve 0", ((confirm, "exact_tango_test", betting_test),), 0.0),
    Rule("reserve .1, --more 1000", (), 0.1, more=1000),
    Rule("reserve .1, --more 3000", (), 0.1, more=3000),
    Rule("reserve .2, --more 1000", (), 0.2, more=1000),
)
"""The fourth is the policy's, as a spec has it that does not say otherwise."""


def shares_of(rule: Rule, setting: Setting, searches: int) -> dict[str, float]:
    """Return how often searches by a rule end in what."""
    counts: Counter[str] = Counter()
    with installed(Method((*NOW.patches, *rule.patches))):
        for seed in range(searches):
            world = World(setting, seed)
            found = _answer(rule, world)
            place = setting.sizes if found.size is None else found.size
            counts["match"] += found.size is not None
            counts["undecided"] += found.undecided
            counts["false"] += found.false
            counts["within one"] += abs(place - world.smallest) <= 1
    return {name: count / searches for name, count in counts.items()}


def _answer(rule: Rule, world: World) -> Answered:
    policy = policy_for(world, futility=False, reserve=rule.reserve)
    ledger = Ledger({size.name: size.flops for size in policy.sizes}, world.grid_flops)
    while not isinstance(job := policy.next_job(), str):
        if not isinstance(job, Confirm):
            train(policy, world, job, ledger)
        elif rule.downward:
            return _downward(world, int(job.size))
        else:
            policy.apply(
                confirm_event(policy, job.size, *confirm_answers(world, job.size, job.trial))
            )
    if rule.more and policy.outcome() == "undecided" and (sizes := policy.undecided_on_confirm()):
        _look_again(policy, world, sizes, rule)
    for test in policy.tests:
        if test.verdict == "match":
            return _matched(world, int(test.size or ""), _index(test.trial or ""))
    return Answered(None, policy.outcome() == "undecided", False)


def _look_again(policy: Policy, world: World, sizes: Sequence[str], rule: Rule) -> None:
    """Add items, and test what is undecided at what the reserve left."""
    left = ALPHA - math.fsum(test.alpha or 0.0 for test in policy.tests)
    alphas = alpha_shares(len(sizes), left * (1.0 - rule.reserve))
    policy.apply(ConfirmOpened(sizes=tuple(sizes), alphas=alphas, fingerprint="", look=2))
    while not isinstance(job := policy.next_job(), str):
        assert isinstance(job, Confirm)
        student, teacher = confirm_answers(world, job.size, job.trial)
        added = world.more(int(job.size), _index(job.trial), rule.more)
        agreed = rule.more - added.student_only - added.teacher_only
        student += [1.0] * (agreed + added.student_only) + [0.0] * added.teacher_only
        teacher += [1.0] * agreed + [0.0] * added.student_only + [1.0] * added.teacher_only
        policy.apply(confirm_event(policy, job.size, student, teacher))


def _downward(world: World, candidate: int) -> Answered:
    """Test the sizes that pass on dev from the largest down to the candidate."""
    setting, matched = world.setting, None
    policy = policy_for(world, reserve=0.0)
    for size in range(setting.sizes - 1, candidate - 1, -1):
        if (index := _passing(policy, world, size)) is None:
            continue
        counts = world.trials[size][index].confirm
        if not quick_tango(*counts, setting.confirm, setting.margin, 1.0 - ALPHA).passes:
            break
        matched = size, index
    return Answered(None, True, False) if matched is None else _matched(world, *matched)


def _passing(policy: Policy, world: World, size: int) -> int | None:
    """Return the first configuration of a size that passes on dev."""
    for index, trial in enumerate(world.trials[size]):
        answers = Answers(0.9, *trial.dev, world.setting.dev)
        if weigh(answers, policy.rules).passes:
            return index
    return None


def _matched(world: World, size: int, index: int) -> Answered:
    return Answered(size, False, not world.matches(size, index))


def _index(trial: str) -> int:
    return int(trial.split("-")[1].removeprefix("c"))
