"""How often the tests err, by enumeration and by simulation."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from scipy import stats

from kdsearch.stats.distributions import normal_quantile
from kdsearch.stats.exact import ExactSize
from kdsearch.stats.paired import retain_test, score_statistic, tango_statistic

ITEMS = (100, 200, 300, 500, 800, 1200, 1600)
MARGINS = (0.01, 0.02, 0.03, 0.04, 0.05)
DISAGREEMENTS = (0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.3)


def exact_size(items: int, margin: float, disagreement: float) -> float:
    """The chance of a pass at exactly the margin, over all outcomes but a share of 1e-9."""
    quantile = normal_quantile(0.95)
    student = (disagreement - margin) / (2 * disagreement)
    low, high = stats.binom.ppf((5e-10, 1 - 5e-10), items, disagreement).astype(int)
    size = 0.0
    for discordant in range(low, high + 1):
        least, most = 0, discordant + 1
        while least < most:  # the statistic rises with the student's share of the discordant
            only = (least + most) // 2
            if tango_statistic(only, discordant - only, items, -margin) > quantile:
                most = only
            else:
                least = only + 1
        passing = stats.binom.sf(least - 1, discordant, student)
        size += stats.binom.pmf(discordant, items, disagreement) * passing
    return float(size)


@pytest.mark.parametrize(
    ("items", "margin", "disagreement"), [(300, 0.02, 0.02), (1000, 0.02, 0.08), (1600, 0.03, 0.16)]
)
def test_known_sizes(items: int, margin: float, disagreement: float) -> None:
    known = {300: 0.0602, 1000: 0.049, 1600: 0.05}[items]
    assert exact_size(items, margin, disagreement) == pytest.approx(known, abs=0.001)


@pytest.mark.slow
def test_exact_size_over_the_whole_range() -> None:
    worst, worst_where_large = 0.0, 0.0
    for items, margin, disagreement in product(ITEMS, MARGINS, DISAGREEMENTS):
        if disagreement < margin:
            continue
        size = exact_size(items, margin, disagreement)
        worst = max(worst, size)
        if items * disagreement >= 20:
            worst_where_large = max(worst_where_large, size)
    assert worst <= 0.061
    assert worst_where_large <= 0.055


def test_one_sided_disagreement_does_not_fool_the_score_test() -> None:
    random, runs, items, kept = Random(0), 600, 400, 0.97
    both = 0.85
    teacher_only = both * (1 - kept) / kept  # the mean of student - kept * teacher is 0
    false = 0
    for _ in range(runs):
        drawn = random.choices(
            ("both", "teacher", "none"), (both, teacher_only, 1 - both - teacher_only), k=items
        )
        b, c = drawn.count("both"), drawn.count("teacher")
        statistic = score_statistic((1 - kept, -kept, 1.0, 0.0), (b, c, 0, items - b - c), 0.0)
        false += statistic > normal_quantile(0.95)
    assert retain_test(b, 0, c, items, kept, 0.95).statistic == pytest.approx(statistic)
    assert false / runs <= 0.065


def exact_size_of_the_exact_test(items: int, margin: float, disagreement: float) -> float:
    """The same of the test whose critical value is raised where the nominal one fails."""
    size, chance = 0.0, (disagreement - margin) / (2 * disagreement)
    for discordant in range(items + 1):
        weight = stats.binom.pmf(discordant, items, disagreement)
        if weight > 1e-10:
            critical = ExactSize(discordant, items, margin).critical_value(0.05)
            passing = sum(
                stats.binom.pmf(only, discordant, chance)
                for only in range(discordant + 1)
                if tango_statistic(only, discordant - only, items, -margin) > critical
            )
            size += float(weight * passing)
    return size


@pytest.mark.parametrize(
    ("items", "margin", "disagreement", "nominal"),
    [(300, 0.02, 0.02, 0.0602), (200, 0.03, 0.03, 0.0593), (100, 0.05, 0.06, None)],
)
def test_the_exact_test_keeps_its_level(
    items: int, margin: float, disagreement: float, nominal: float | None
) -> None:
    assert exact_size_of_the_exact_test(items, margin, disagreement) <= 0.05
    if nominal is not None:
        assert exact_size(items, margin, disagreement) == pytest.approx(nominal, abs=0.001)
