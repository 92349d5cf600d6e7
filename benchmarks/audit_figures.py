"""Figures of the tests on confirm, found by other code than kdsearch's own.

Likelihoods are maximised numerically, sizes of tests are summed over every outcome, the bound of a
mean is integrated, and levels of later looks come from scipy's multivariate normal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import integrate, optimize, stats


def nominal_level(looks: list[dict[str, Any]]) -> float:
    """Return the level of the last of some looks, by the joint normal of their statistics."""
    critical = [stats.norm.isf(looks[0]["alpha"])]
    if len(looks) == 1:
        return float(looks[-1]["alpha"])
    items = np.arange(1.0, len(looks) + 1.0)  # as if each added equally many
    shares = np.minimum.outer(items, items) / np.sqrt(np.outer(items, items))
    for place, look in enumerate(looks[1:], start=1):
        before = normal_cdf(critical, shares[:place, :place])
        joint = shares[: place + 1, : place + 1]

        def spent(value: float, joint: Any = joint, before: float = before) -> float:
            return before - normal_cdf([*critical, value], joint)

        goal = look["alpha"]
        critical.append(optimize.brentq(lambda value: spent(value) - goal, 0.0, 8.0))  # noqa: B023  # used at once
    return float(stats.norm.sf(critical[-1]))


def normal_cdf(point: list[float], correlation: Any) -> float:
    """Return the joint probability of staying below a point, close enough for several looks."""
    joint = stats.multivariate_normal(
        cov=correlation, maxpts=200_000, abseps=1e-7, releps=1e-7, seed=0
    )
    return float(joint.cdf(point))


def figures(
    own: Any, other: Any, kept: float, bar: float, alpha: float, *, plain: bool
) -> dict[str, float]:
    """Return p-value and one-sided bounds by the test that fits the scores."""
    values = own - kept * other
    limits = (-kept, 1.0)
    if len(own) > 1:
        return of_seeds(values, limits, bar, alpha)
    if plain and {*np.unique(own), *np.unique(other)} <= {0.0, 1.0}:
        cells = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
        counts = [int(np.sum((own[0] == s) & (other == t))) for s, t in cells]
        score = [s - kept * t for s, t in cells]
        if kept == 1.0 and bar < 0.0:
            return by_exact_size(score, counts, bar, alpha)
        if kept < 1.0 and counts[1] + counts[2] >= 20:
            return by_likelihood(score, counts, bar, alpha)
    return of_bounded_mean(values[0], limits, bar, alpha)


def of_looks(
    parts: list[tuple[Any, Any]], kept: float, bar: float, alpha: float, *, plain: bool
) -> dict[str, float]:
    """Return the figures of several looks: the normals of each one's items, added and scaled.

    Args:
        parts: By look, the student's and the teacher's scores of the items that it added.
        kept: The share to retain, or 1.
        bar: What the difference must exceed.
        alpha: The level of the sum.
        plain: Whether items are independent.
    """
    critical, root = stats.norm.isf(alpha), math.sqrt(len(parts))

    def total(mean: float, side: int, *, exact: bool = False) -> float:
        return sum(_normal(*part, kept, mean, side, plain, exact) for part in parts) / root

    low, high = -kept + 1e-12, 1.0 - 1e-12

    def cross(side: int, goal: float) -> float:
        ends = total(low, side) - goal, total(high, side) - goal
        if ends[0] <= 0.0 or ends[1] >= 0.0:
            return low if ends[0] <= 0.0 else high
        return float(optimize.brentq(lambda mean: total(mean, side) - goal, low, high))

    lower, at_bar = cross(1, critical), total(bar, 1, exact=True)
    return {
        "p_value": float(stats.norm.sf(at_bar)),
        "lower_bound": lower if at_bar > critical else min(lower, bar),
        "upper_bound": cross(-1, -critical),
    }


def _normal(
    own: Any, other: Any, kept: float, mean: float, side: int, plain: bool, exact: bool
) -> float:
    """Return the normal that some items stand for under a mean: above it (1), or below (-1)."""
    if plain and {*np.unique(own), *np.unique(other)} <= {0.0, 1.0}:
        cells = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
        counts = [int(np.sum((own == s) & (other == t))) for s, t in cells]
        if kept == 1.0:
            ahead, behind = np.array([counts[1]]), np.array([counts[2]])
            found = float(tango(ahead, behind, len(own), mean)[0])
            if exact and found > 0.0 and stats.norm.sf(found) > 1e-4:
                score = [s - t for s, t in cells]
                p_value = by_exact_size(score, counts, mean, 0.05)["p_value"]
                found = min(found, float(stats.norm.isf(p_value)))
            return found
        if counts[1] + counts[2] >= 20:
            return statistic([s - kept * t for s, t in cells], counts, mean)
    values = own - kept * other
    least = -kept if side > 0 else -1.0
    p_value = weighted_below(np.append(side * values, least) - side * mean)
    return side * float(stats.norm.isf(min(max(p_value, stats.norm.sf(8.0)), stats.norm.cdf(8.0))))


def by_exact_size(
    values: list[float], counts: list[int], bar: float, alpha: float
) -> dict[str, float]:
    """Return the figures of Tango's test at a critical value that keeps its level.

    The size is summed over every outcome, at its worst over the shares of discordant items that a
    99.99 % interval (Clopper & Pearson 1934) leaves, to which its error of 1e-4 is added.
    """
    items, discordant = sum(counts), counts[1] + counts[2]
    interval = stats.binomtest(discordant, items).proportion_ci(1.0 - 1e-4, "exact")
    lowest = max(interval.low, -bar, 1e-12)
    shares = np.linspace(lowest, interval.high, 48 if lowest < interval.high else 0)
    reach = 6.5 * np.sqrt(items * shares * (1.0 - shares)) + 10.0
    most = np.arange(
        int(max(0.0, (items * shares - reach).min(initial=0.0))),
        int(min(items, (items * shares + reach).max(initial=0.0))) + 1,
    )
    ahead = [np.arange(number + 1) for number in most]
    scores = [
        tango(each, number - each, items, bar) for each, number in zip(ahead, most, strict=True)
    ]

    def size(critical: float) -> float:
        least = np.array([np.searchsorted(each, critical, "right") for each in scores])
        worst = 0.0
        for share in shares:
            passing = stats.binom.sf(least - 1, most, (share + bar) / (2.0 * share))
            worst = max(worst, float(stats.binom.pmf(most, items, share) @ passing))
        return worst + 1e-4

    critical = stats.norm.isf(alpha)
    if size(critical) > alpha:
        critical = stats.norm.isf(max(alpha - 1.5e-4, alpha / 2.0))
    if size(critical) > alpha:
        low, high = stats.norm.isf(alpha), stats.norm.isf(alpha) + 2.0
        for _ in range(16):
            middle = (low + high) / 2.0
            low, high = (low, middle) if size(middle) <= alpha else (middle, high)
        critical = high
    found = by_likelihood(values, counts, bar, float(stats.norm.sf(critical)))
    if 1e-4 < found["p_value"] < 0.5:
        observed = float(tango(np.array([counts[1]]), np.array([counts[2]]), items, bar)[0])
        found["p_value"] = max(found["p_value"], size(observed - 1e-9))
    return found


def tango(ahead: Any, behind: Any, items: int, difference: float) -> Any:
    """Return Tango's statistic (1998), its constrained rate as the root of a quadratic."""
    linear = -(ahead + behind) + (2 * items - ahead + behind) * difference
    constant = -behind * difference * (1.0 - difference)
    rate = (-linear + np.sqrt(np.maximum(0.0, linear**2 - 8 * items * constant))) / (4.0 * items)
    variance = items * (2.0 * rate + difference * (1.0 - difference))
    score = ahead - behind - items * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        found = score / np.sqrt(variance)
    return np.where(variance > 0.0, found, np.where(score > 1e-9, np.inf, 0.0))


def of_bounded_mean(
    values: Any, limits: tuple[float, float], bar: float, alpha: float
) -> dict[str, float]:
    """Return the figures of Gaffke's bound (2005), integrated numerically."""
    low, high = limits
    mean = float(values.mean())

    def below(point: float, data: Any, least: float) -> float:
        return weighted_below(np.append(data, least) - point) - alpha

    def bound(data: Any, least: float, middle: float) -> float:
        if below(middle, data, least) < 0.0:
            return middle
        return float(optimize.brentq(below, least, middle, (data, least), xtol=1e-9))

    return {
        "p_value": weighted_below(np.append(values, low) - bar),
        "lower_bound": bound(values, low, mean),
        "upper_bound": -bound(-values, -high, -mean),
    }


def weighted_below(offsets: Any) -> float:
    """Return the chance that offsets, weighed by exponentials, add up to at most 0.

    By the integral of Gil-Pelaez (1951) over pieces as long as the integrand oscillates slowly.
    """
    offsets = offsets[offsets != 0.0]
    if not (offsets > 0.0).any() or not (offsets < 0.0).any():
        return float(not (offsets > 0.0).any())
    found, counts = np.unique(offsets, return_counts=True)

    def decay(point: float) -> float:
        return math.exp(-0.5 * float(counts @ np.log1p((point * found) ** 2)))

    def integrand(point: float) -> float:
        angle = float(counts @ np.arctan(point * found))
        return math.sin(angle) * decay(point) / point

    step = 4.0 / math.sqrt(float(counts @ found**2))
    total, start = 0.0, 0.0
    while True:
        piece = integrate.quad(integrand, start, start + step, limit=400, epsabs=1e-11)[0]
        total, start = total + piece, start + step
        if decay(start) < 1e-11:
            return float(min(1.0, max(0.0, 0.5 - total / math.pi)))
        step *= 1.5


def of_seeds(
    values: Any, limits: tuple[float, float], bar: float, alpha: float
) -> dict[str, float]:
    """Return the figures of a recipe: the reaches of seeds and of items, added as squares."""
    seeds, items = values.shape
    alone = of_bounded_mean(values.mean(axis=0), limits, bar, alpha)
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (items - 1)) / items
    variance = max(float(values.mean(axis=1).var(ddof=1)), noise) / seeds
    mean, quantile = float(values.mean()), stats.t.ppf(1.0 - alpha, seeds - 1)
    below, above = mean - alone["lower_bound"], alone["upper_bound"] - mean
    error = below / stats.norm.isf(alpha)

    def reach(level: float) -> float:
        own = stats.t.isf(level, seeds - 1) ** 2 * variance
        return float(math.sqrt(own + (stats.norm.isf(level) * error) ** 2)) - abs(mean - bar)

    one_sided = 1e-12 if reach(1e-12) < 0.0 else optimize.brentq(reach, 1e-12, 0.5, xtol=1e-15)
    return {
        "p_value": one_sided if mean > bar else 1.0 - one_sided,
        "lower_bound": max(limits[0], mean - math.hypot(quantile * math.sqrt(variance), below)),
        "upper_bound": min(limits[1], mean + math.hypot(quantile * math.sqrt(variance), above)),
    }


def former_figures(
    own: Any, other: Any, kept: float, bar: float, alpha: float, *, plain: bool
) -> dict[str, float]:
    """Return p-value and one-sided bounds as runs of an older version tested."""
    values = own - kept * other
    binary = {*np.unique(own), *np.unique(other)} <= {0.0, 1.0}
    if len(own) == 1 and plain and binary:
        cells = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
        counts = [int(np.sum((own[0] == s) & (other == t))) for s, t in cells]
        return by_likelihood([s - kept * t for s, t in cells], counts, bar, alpha)
    error, freedom = error_of(values)
    mean, reach = values.mean(), stats.t.ppf(1.0 - alpha, freedom) * error
    p_value = stats.t.sf((mean - bar) / error, freedom) if error else float(mean <= bar)
    return {"p_value": p_value, "lower_bound": mean - reach, "upper_bound": mean + reach}


def error_of(values: Any) -> tuple[float, float]:
    """Return the standard error of a mean over seeds and items, and its degrees of freedom."""
    seeds, items = values.shape
    over_items = values.mean(axis=0).var(ddof=1) / items
    if seeds == 1:
        return math.sqrt(over_items), items - 1
    over_seeds = values.mean(axis=1).var(ddof=1) / seeds
    total = over_items + over_seeds
    parts = over_seeds**2 / (seeds - 1) + over_items**2 / (items - 1)
    return math.sqrt(total), total**2 / parts if parts else seeds - 1


def by_likelihood(
    values: list[float], counts: list[int], bar: float, alpha: float
) -> dict[str, float]:
    """Invert the score test whose variance is that of the likelihood constrained to the null."""
    quantile = stats.norm.ppf(1.0 - alpha)

    def bound(target: float) -> float:
        low, high = min(values) + 1e-12, max(values) - 1e-12
        if statistic(values, counts, low) <= target:  # every answer at the scale's end
            return low
        if statistic(values, counts, high) >= target:
            return high
        return float(
            optimize.brentq(lambda mean: statistic(values, counts, mean) - target, low, high)
        )

    return {
        "p_value": float(stats.norm.sf(statistic(values, counts, bar))),
        "lower_bound": bound(quantile),
        "upper_bound": bound(-quantile),
    }


def statistic(values: list[float], counts: list[int], mean: float) -> float:
    """Return the score statistic of a mean: observed sum over its deviation under the null.

    The dual of the constrained likelihood is one convex function of one multiplier.
    """
    items = sum(counts)
    seen = [(value - mean, count) for value, count in zip(values, counts, strict=True)]
    total = sum(offset * count for offset, count in seen)
    if abs(total) < 1e-9 * items:
        return 0.0
    low, high = -1.0 / max(offset for offset, _ in seen), -1.0 / min(offset for offset, _ in seen)

    def dual(tilt: float) -> float:
        return -sum(count * math.log1p(tilt * offset) for offset, count in seen if count)

    def slope(tilt: float) -> float:
        return -sum(count * offset / (1.0 + tilt * offset) for offset, count in seen if count)

    edge = 1e-13 * (high - low)
    ends = (low + edge, high - edge)
    if slope(ends[0]) * slope(ends[1]) < 0:
        tilt = optimize.brentq(slope, *ends, xtol=1e-15)
    else:
        tilt = min(ends, key=dual)
    masses = [(offset, count / items / (1.0 + tilt * offset)) for offset, count in seen if count]
    left = 1.0 - sum(mass for _, mass in masses)
    extreme = max(seen)[0] if total < 0 else min(seen)[0]
    spread = sum(mass * offset**2 for offset, mass in masses) + max(0.0, left) * extreme**2
    return total / math.sqrt(items * spread) if spread > 0 else math.copysign(math.inf, total)
