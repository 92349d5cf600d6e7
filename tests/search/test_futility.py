from __future__ import annotations

import math
from random import Random

import pytest

from kdsearch.events import TrialProgress
from kdsearch.search.futility import Curve, Forecast, Watch, chance_of_more
from kdsearch.search.rules import Rules
from kdsearch.stats.spread import spread_of

RULES = Rules(margin=0.02, dev_items=2000, confirm_items=4000)


def stopped_at(end: float, rate: float, random: Random | None = None) -> Forecast | None:
    """Report the tenths of a curve until it is found futile."""
    watch, noise = Watch(RULES), random.gauss(0, 0.004) if random else 0.0
    for step in range(1, 10):
        now = end - 0.3 * (math.exp(-rate * step / 10) - math.exp(-rate)) + noise
        now += random.gauss(0, 0.004) if random else 0.0
        event = TrialProgress(
            size="A",
            trial="A-c0-s0",
            step=step,
            total_steps=10,
            score=0.9 + now,
            student_only=80,
            teacher_only=80 - round(now * 2000),
            items=2000,
        )
        if (forecast := watch.report(event)) is not None:
            return forecast
    return None


@pytest.mark.parametrize("rate", [2.0, 5.0, 10.0])
def test_far_curves_stop_early_and_near_ones_go_on(rate: float) -> None:
    far = stopped_at(-0.25, rate)
    assert far is not None
    assert far.share < 0.6
    assert far.chance < 0.05
    assert far.evidence.below
    assert stopped_at(0.0, rate) is None


def test_trials_that_would_pass_are_seldom_stopped() -> None:
    random = Random(0)
    stopped = sum(stopped_at(0.0, 5.0, random) is not None for _ in range(300))
    assert stopped <= 6


def test_the_end_of_a_noiseless_curve_is_foreseen() -> None:
    curve = Curve()
    for step in range(1, 8):
        curve.add(step / 10, -0.1 - 0.3 * math.exp(-4.0 * step / 10), 1e-6)
    outlook = curve.outlook()
    assert outlook.expected == pytest.approx(-0.1 - 0.3 * math.exp(-4.0), abs=0.01)
    assert outlook.chance(-0.05, 1e-6) < 0.01
    assert outlook.chance(-0.15, 1e-6) > 0.99


def test_a_report_that_is_not_later_changes_nothing() -> None:
    curve = Curve()
    assert curve.add(0.5, -0.1, 1e-4)
    before = curve.outlook()
    assert not curve.add(0.5, -0.9, 1e-4)
    assert curve.outlook() == before


def test_reports_without_dev_say_nothing() -> None:
    watch = Watch(RULES)
    assert watch.report(TrialProgress(trial="A", step=1, total_steps=9)) is None


def test_two_reports_are_too_few() -> None:
    assert (forecast := stopped_at(-0.9, 14.0)) is not None
    assert forecast.share == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("distances", "given_up"),
    [
        ([-0.1, -0.11, -0.105], True),
        ([-0.01, -0.1, -0.05], False),
        ([-0.01, -0.011, -0.009], False),
    ],
)
def test_others_of_a_size_are_given_up_when_all_fell_alike(
    distances: list[float], given_up: bool
) -> None:
    assert (chance_of_more(spread_of(distances), 3) < 0.05) is given_up
