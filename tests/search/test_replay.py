from __future__ import annotations

from typing import Any

import pytest

from kdsearch.errors import RunError
from kdsearch.events import Record, RunStarted, TrialStarted
from kdsearch.search.replay import policy_of

PLAN: dict[str, Any] = {
    "sizes": [{"size": "A", "trial_flops": 1.0, "parameters": 10}],
    "match": {"margin": 0.03, "retain": None, "confidence": 0.95},
    "splits": {"dev": 10, "confirm": 20},
    "configurations": [{}, {}],
    "strategy": "ascend",
    "seed": 3,
}


def test_the_plan_gives_the_rules() -> None:
    policy = policy_of([Record(0, 0.0, RunStarted(run="r", plan=PLAN))])
    rules = policy.rules
    assert (rules.margin, rules.confirm_items, rules.configurations) == (0.03, 20, 2)
    assert (rules.strategy, rules.seed, rules.force) == ("ascend", 3, False)
    assert policy.sizes[0].parameters == 10


def test_without_a_plan_there_is_no_policy() -> None:
    started = TrialStarted(size="A", trial="A-c0-s0", index=0, seed=0, config={})
    with pytest.raises(RunError, match="no run_started"):
        policy_of([Record(0, 0.0, started)])
