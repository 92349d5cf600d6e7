"""Print how many items a match needs: of a single test, and of whole searches by several rules.

    python -m benchmarks.power                    # every table: 2 to 4 minutes of one core
    python -m benchmarks.power --searches 100     # quicker and coarser

Single tests are computed, not simulated, where nothing else is said.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from benchmarks.rules_tried import RULES, log_capital, shares_of
from benchmarks.worlds import Setting
from kdsearch.stats.distributions import normal_quantile, normal_tail
from kdsearch.stats.exact import tango_critical_value
from kdsearch.stats.paired import tango_statistic
from kdsearch.stats.sequential import combined, nominal_level

ALPHA = 0.05

RESERVE = 0.1

DRAWS = 20_000
"""Simulated tests, where a power is simulated."""

SEQUENCES = 2000
"""Simulated sequences of a betting test."""


class Case(NamedTuple):
    """A student that equals its teacher, and what is asked of it."""

    items: int
    disagreement: float
    margin: float


@lru_cache(maxsize=100_000)
def least_wins(discordant: int, items: int, margin: float, alpha: float, exact: bool) -> int:
    """Return how many discordant items the student needs; more than all: it cannot pass.

    The exact critical value is taken at the nearest ten of them: it hardly changes between.
    """
    critical = normal_quantile(1.0 - alpha)
    if exact:
        ten = 10 * round(discordant / 10)
        critical = max(critical, tango_critical_value(ten, items, margin, alpha))
    low, high = 0, discordant + 1
    while low < high:
        middle = (low + high) // 2
        if tango_statistic(middle, discordant - middle, items, -margin) > critical:
            high = middle
        else:
            low = middle + 1
    return low


def power(case: Case, alpha: float, *, exact: bool = True) -> float:
    """Return the power of Tango's test, at its exact level or at its nominal one."""
    items, share, margin = case
    reach = 5.0 * math.sqrt(items * share)
    counts = range(max(0, int(items * share - reach)), int(items * share + reach) + 1)
    wins = [least_wins(count, items, margin, alpha, exact) for count in counts]
    passing = binom.sf(np.array(wins) - 1, np.array(counts), 0.5)
    return float(binom.pmf(counts, items, share) @ passing)


def z_power(case: Case, alpha: float) -> float:
    """Return the power of the one-sided z-test whose variance is known."""
    reach = case.margin * math.sqrt(case.items / case.disagreement)
    return normal_tail(normal_quantile(1.0 - alpha) - reach)


def greatest_power(case: Case, alpha: float) -> float:
    """Return what no test of that level can exceed (Neyman & Pearson 1933).

    It is the power of the best test of a student exactly at the margin against one that equals its
    teacher, both with this disagreement and both known beforehand.
    """
    items, share, margin = case
    reach = 6.0 * math.sqrt(items * share)
    counts = np.arange(max(0, int(items * share - reach)), int(items * share + reach) + 1)
    wins = np.arange(counts[-1] + 1)[None]
    weights = binom.pmf(counts, items, share)[:, None]
    at_margin = (weights * binom.pmf(wins, counts[:, None], 0.5 - margin / (2.0 * share))).ravel()
    equal = (weights * binom.pmf(wins, counts[:, None], 0.5)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.argsort(-np.nan_to_num(equal / at_margin, nan=0.0))
    spent = np.cumsum(at_margin[order])
    last = int(np.searchsorted(spent, alpha))
    rest = (alpha - spent[last - 1]) / at_margin[order[last]]
    return float(equal[order[:last]].sum() + rest * equal[order[last]])


def power_with_more(case: Case, added: int, reserve: float) -> float:
    """Return the power of a test and, where it does not match, of one more with items added.

    Simulated.
    """
    items, share, margin = case
    first = ALPHA * (1.0 - reserve)
    second = (ALPHA - first) * (1.0 - reserve)
    critical = normal_quantile(1.0 - nominal_level((first, second)))
    generator = np.random.default_rng(0)
    before, wins = _drawn(generator, items, share)
    more, further = _drawn(generator, added, share)
    passing = 0
    for discordant, won, extra, extra_won in zip(before, wins, more, further, strict=True):
        looks = (
            tango_statistic(int(won), int(discordant - won), items, -margin),
            tango_statistic(int(extra_won), int(extra - extra_won), added, -margin),
        )
        passing += (
            won >= least_wins(discordant, items, margin, first, True) or combined(looks) > critical
        )
    return passing / DRAWS


def _drawn(generator: np.random.Generator, items: int, share: float) -> tuple[Any, Any]:
    discordant = generator.binomial(items, share, DRAWS)
    return discordant.tolist(), generator.binomial(discordant, 0.5).tolist()


def betting_power(case: Case, alpha: float = ALPHA) -> float:
    """Return the power of a betting confidence sequence; simulated."""
    generator, passing = np.random.default_rng(0), 0
    chances = (case.disagreement / 2.0, 1.0 - case.disagreement, case.disagreement / 2.0)
    for _ in range(SEQUENCES // 100):
        values = generator.choice([-1.0, 0.0, 1.0], (100, case.items), p=chances)
        reached = log_capital(values, case.margin, alpha).max(axis=1) >= -math.log(alpha)
        passing += int(reached.sum())
    return passing / SEQUENCES


def items_needed(case: Case, wanted: float, *, betting: bool) -> int:
    """Return the number of items, to one part in fifty, at which a power is reached."""
    about = round((2.5 / case.margin) ** 2 * case.disagreement)  # by the z-test: 1.64 + 0.84
    low, high = about // 2, 4 * about
    while high - low > low // 50:
        middle = (low + high) // 2
        asked = case._replace(items=middle)
        reached = betting_power(asked) if betting else power(asked, ALPHA)
        low, high = (low, middle) if reached >= wanted else (middle, high)
    return high


def stratified_power(items: int, margin: float, apart: float) -> tuple[float, float]:
    """Return the powers of a z-test without and with strata; simulated.

    Two groups of half the items each, of which 8 % and 24 % disagree; their mean differences lie
    so far apart and are zero together.
    """
    generator, half = np.random.default_rng(0), items // 2
    sums, squares = [], []
    for share, mean in ((0.08, -apart / 2.0), (0.24, apart / 2.0)):
        discordant = generator.binomial(half, share, DRAWS)
        wins = generator.binomial(discordant, 0.5 + mean / (2.0 * share))
        sums.append(2 * wins - discordant)
        squares.append(discordant)
    total = sums[0] + sums[1]
    plain = squares[0] + squares[1] - total**2 / items
    within = squares[0] + squares[1] - (sums[0] ** 2 + sums[1] ** 2) / half
    quantile, above = normal_quantile(1.0 - ALPHA), total + items * margin
    plainly, stratified = (float((above > quantile * np.sqrt(v)).mean()) for v in (plain, within))
    return plainly, stratified


def single_tests() -> None:
    """Print the powers of single tests."""
    print(f"power of one test, the student equal to its teacher; reserve {RESERVE}\n")
    print(
        f"{'items':>6}{'disagree':>10}{'margin':>8}{'bound':>8}{'z-test':>8}{'nominal':>9}"
        f"{'alpha':>8}{'reserved':>10}{'half':>8}{'reserved':>10}{'--more':>8}"
    )
    for items in (1000, 2500, 4000):
        for share in (0.08, 0.16):
            for margin in (0.02, 0.03):
                case = Case(items, share, margin)
                spent = ALPHA * (1.0 - RESERVE)
                print(
                    f"{items:6,}{share:10.0%}{100 * margin:8.0f}{greatest_power(case, ALPHA):8.1%}"
                    f"{z_power(case, ALPHA):8.1%}{power(case, ALPHA, exact=False):9.1%}"
                    f"{power(case, ALPHA):8.1%}{power(case, spent):10.1%}"
                    f"{power(case, ALPHA / 2.0):8.1%}{power(case, spent / 2.0):10.1%}"
                    f"{power_with_more(case, items, RESERVE):8.1%}",
                    flush=True,
                )
    print(
        "\nbound: no test of level 5 % whatever has more (Neyman and Pearson); nominal: Tango's"
        "\ntest as it was; alpha, half: at its exact level, 5 % and 2.5 %, with the reserve taken"
        "\noff beside it; --more: at 4.5 %, then once with as many items again (simulated)"
    )


def other_tests() -> None:
    """Print what other tests need."""
    print("\nitems for a power of 80 %, margin 2 points, level 5 %\n")
    print(f"{'disagree':>10}{'Tango':>9}{'betting':>9}{'ratio':>8}")
    for share in (0.08, 0.16):
        case = Case(0, share, 0.02)
        tango, betting = (items_needed(case, 0.8, betting=each) for each in (False, True))
        print(f"{share:10.0%}{tango:9,}{betting:9,}{betting / tango:8.2f}", flush=True)
    print("\npower with strata, 1,000 items, margin 2 points: two groups, 8 % and 24 % disagree\n")
    print(f"{'means apart':>12}{'without':>9}{'with':>8}")
    for apart in (0.0, 0.05, 0.1):
        plain, strata = stratified_power(1000, 0.02, apart)
        print(f"{100 * apart:9.0f} pt{plain:9.2%}{strata:8.2%}")


def whole_searches(searches: int) -> None:
    """Print what searches by each rule come to."""
    for dev, confirm in ((1000, 1000), (2000, 4000)):
        setting = Setting(dev=dev, confirm=confirm, disagreement=0.16)
        print(
            f"\n{searches:,} searches: confirm {confirm:,}, dev {dev:,}, 16 % disagree, "
            f"margin 2 points\n\n{'':48}{'match':>8}{'undecided':>11}{'false':>8}{'within 1':>10}"
        )
        for rule in RULES:
            found = shares_of(rule, setting, searches)
            print(
                f"{rule.name:48}{found['match']:8.1%}{found['undecided']:11.1%}"
                f"{found['false']:8.2%}{found['within one']:10.1%}",
                flush=True,
            )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=500)
    options = parser.parse_args()
    started = time.perf_counter()
    single_tests()
    other_tests()
    whole_searches(options.searches)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
