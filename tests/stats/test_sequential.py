from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kdsearch.stats.sequential import combined, nominal_level


def test_the_first_look_is_tested_at_its_share() -> None:
    assert nominal_level((0.025,)) == 0.025


def test_two_looks_spend_their_shares_by_the_bivariate_normal() -> None:
    first, second = (stats.norm.isf(alpha) for alpha in (0.02, nominal_level((0.02, 0.01))))
    both = stats.multivariate_normal(cov=[[1, 0.5**0.5], [0.5**0.5, 1]])
    passes_now_only = stats.norm.sf(second) - both.cdf([-first, -second])
    assert passes_now_only == pytest.approx(0.01, abs=1e-5)


def test_three_looks_keep_alpha_by_simulation() -> None:
    alphas = (0.03, 0.015, 0.005)
    steps = np.random.default_rng(0).standard_normal((3, 400_000))
    passed = np.zeros(400_000, dtype=bool)
    for looks in (1, 2, 3):
        found = steps[:looks].sum(axis=0) / looks**0.5
        passed |= found >= stats.norm.isf(nominal_level(alphas[:looks]))
    assert passed.mean() == pytest.approx(0.05, abs=0.0015)
    assert combined(list(steps[:, 0])) == pytest.approx(steps[:, 0].sum() / 3**0.5)


def test_the_level_holds_where_the_number_of_items_is_chosen_by_the_first_look() -> None:
    """One statistic of all items, at the level of that number, is fooled by the choice."""
    generator, runs = np.random.default_rng(1), 400_000
    alphas, sizes = (0.045, 0.0045), (10, 100, 1000, 10_000)
    first, second = generator.standard_normal((2, runs))
    levels = [stats.norm.isf(alpha) for alpha in alphas]
    critical = stats.norm.isf(nominal_level(alphas))
    missed = first < levels[0]
    ours = missed & (((first + second) / 2**0.5) > critical)  # whatever the number: it is not used
    assert (~missed | ours).mean() == pytest.approx(0.0495, abs=0.001)
    chances = []
    for size in sizes:
        share = 1000 / (1000 + size)
        own = _boundary(levels[0], share, alphas[1])
        reach = (own - share**0.5 * first) / (1 - share) ** 0.5
        chances.append(stats.norm.sf(reach))
    chosen = np.max(chances, axis=0)
    assert (~missed).mean() + (missed * chosen).mean() > 0.052


def _boundary(first: float, share: float, alpha: float) -> float:
    """Return what all items must reach at a fixed number of them."""
    joint = stats.multivariate_normal(cov=[[1, share**0.5], [share**0.5, 1]])
    grid = np.linspace(0.0, 5.0, 401)
    spent = stats.norm.sf(grid) - np.array([joint.cdf([-first, -value]) for value in grid])
    return float(np.interp(alpha, spent[::-1], grid[::-1]))


def test_no_look_is_refused() -> None:
    with pytest.raises(ValueError, match="no look"):
        nominal_level(())
