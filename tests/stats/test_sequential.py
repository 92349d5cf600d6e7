from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kdsearch.stats.sequential import Look, nominal_level


def test_the_first_look_is_tested_at_its_share() -> None:
    assert nominal_level((Look(1000, 0.025),)) == 0.025


def test_two_looks_spend_their_shares_by_the_bivariate_normal() -> None:
    looks = (Look(1000, 0.02), Look(1800, 0.01))
    first, second = (stats.norm.isf(alpha) for alpha in (0.02, nominal_level(looks)))
    both = stats.multivariate_normal(cov=[[1, (1000 / 1800) ** 0.5], [(1000 / 1800) ** 0.5, 1]])
    passes_now_only = stats.norm.sf(second) - both.cdf([-first, -second])
    assert passes_now_only == pytest.approx(0.01, abs=1e-5)


def test_three_looks_keep_alpha_by_simulation() -> None:
    looks = [Look(500, 0.03), Look(900, 0.015), Look(2000, 0.005)]
    steps = np.random.default_rng(0).standard_normal((3, 400_000))
    gains = np.sqrt(np.diff([0, 500, 900, 2000]))[:, None]
    sums = np.cumsum(steps * gains, axis=0) / np.sqrt([[500], [900], [2000]])
    critical = [stats.norm.isf(nominal_level(tuple(looks[: place + 1]))) for place in range(3)]
    passed = (sums >= np.array(critical)[:, None]).any(axis=0).mean()
    assert passed == pytest.approx(0.05, abs=0.0015)


def test_a_look_gets_more_than_its_share_alone() -> None:
    assert nominal_level((Look(1000, 0.04), Look(1100, 0.01))) > 0.03 > 0.01


def test_looks_without_new_items_are_refused() -> None:
    with pytest.raises(ValueError, match="more items"):
        nominal_level((Look(1000, 0.02), Look(1000, 0.01)))
    with pytest.raises(ValueError, match="no look"):
        nominal_level(())
