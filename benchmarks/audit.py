"""Recompute every verdict of a run from its stored answers, by other code than kdsearch's own.

    python benchmarks/audit.py RUN...

Reads journal, summary and answers as plain JSON; imports nothing of kdsearch. Likelihoods are
maximised numerically and t-tests are scipy's. Exit code 0 where all agrees, 1 where anything does
not.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, stats

TOLERANCE = 1e-6
"""Between a stored figure and the one found here."""


def main() -> int:
    """Audit the runs named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    faults = 0
    for run in parser.parse_args().runs:
        found, tested = audit(run)
        faults += len(found)
        for fault in found:
            print(f"{run}: {fault}")
        print(f"{run}: {tested} tests on confirm, {'all agrees' if not found else 'DISAGREES'}")
    return 1 if faults else 0


def audit(run: Path) -> tuple[list[str], int]:
    """Return what does not agree, and how many tests were looked at."""
    lines = (run / "journal.jsonl").read_text(encoding="utf8").splitlines()
    events = [json.loads(line) for line in lines]
    units = json.loads((run / "units.json").read_text()) if (run / "units.json").exists() else {}
    faults: list[str] = []
    plan: dict[str, Any] = {}
    alphas: dict[str, float] = {}
    verdicts: dict[str, str] = {}
    tested = 0
    for place, event in enumerate(events):
        if event["event"] == "run_started":
            plan = event["plan"]
        elif event["event"] == "trial_finished":
            faults += dev_faults(run, event)
        elif event["event"] == "confirm_opened":
            alphas = dict(zip(event["sizes"], event["alphas"], strict=True))
            faults += share_faults(event, plan)
        elif event["event"] == "confirm_tested":
            tested += 1
            if event["size"] in verdicts:
                faults.append(f"{event['size']} is tested twice")
            if event["size"] not in alphas:
                faults.append(f"{event['size']} is tested and was not declared")
                continue
            alpha = alphas[event["size"]]
            faults += test_faults(run, event, events[:place], plan["match"], alpha, units)
            verdicts[event["size"]] = "exploratory" if event["exploratory"] else event["verdict"]
    return faults + summary_faults(run, plan, verdicts), tested


def share_faults(event: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    """Check that half of alpha went to the candidate and the rest evenly to all larger sizes."""
    ladder = [size["size"] for size in plan["sizes"]]
    larger, alpha = len(event["sizes"]) - 1, 1.0 - plan["match"]["confidence"]
    expected = [alpha / 2] + [alpha / 2 / larger] * larger if larger else [alpha]
    if event["sizes"] != ladder[-len(event["sizes"]) :]:
        return ["the declared sizes are not all from the candidate up"]
    return [] if np.allclose(event["alphas"], expected) else [f"alphas are {event['alphas']}"]


def dev_faults(run: Path, event: dict[str, Any]) -> list[str]:
    """Check a trial's counts on dev, where its answers were kept."""
    file = run / "trials" / event["trial"] / "dev.jsonl"
    if not file.exists():
        return []
    student, teacher = answers(file), answers(run / "teacher" / "dev.jsonl")
    ahead = sum(student[item] > teacher[item] for item in teacher)
    behind = sum(student[item] < teacher[item] for item in teacher)
    found = (ahead, behind, len(teacher))
    told = (event["student_only"], event["teacher_only"], event["items"])
    return [] if found == told else [f"{event['trial']} says {told} on dev and answered {found}"]


def answers(file: Path) -> dict[str, float]:
    """Return scores by item."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]
    found = {line["id"]: float(line["score"]) for line in lines}
    if len(found) < len(lines):
        raise SystemExit(f"{file}: an item is answered twice")
    return found


def test_faults(
    run: Path,
    event: dict[str, Any],
    before: list[dict[str, Any]],
    match: dict[str, Any],
    alpha: float,
    units: dict[str, str],
) -> list[str]:
    """Compare one test on confirm with what its answers give."""
    teacher = answers(run / "teacher" / "confirm.jsonl")
    students = [
        answers(run / "trials" / trial / "confirm.jsonl") for trial in trials_of(event, before)
    ]
    if any(set(student) != set(teacher) for student in students):
        return [f"{event['size']}: student and teacher answered other items"]
    if len(students) != event.get("seeds", 1):
        return [f"{event['size']}: {len(students)} seeds finished and {event['seeds']} were tested"]
    name = event["size"]
    if event.get("domains"):
        return domain_faults(name, event, students, teacher, match, alpha, units)
    return item_faults(name, event, students, teacher, match, alpha, units)


def domain_faults(
    name: str, event: dict[str, Any], students: list[dict[str, float]], teacher: dict[str, float],
    match: dict[str, Any], alpha: float, units: dict[str, str],
) -> list[str]:  # fmt: skip
    """Compare a test over several domains with the tests of each, and its verdict with theirs."""
    faults, each = [], event["domains"]
    for label, told in each.items():
        own = [_of(student, label) for student in students]
        at = f"{name} on {label}"
        faults += item_faults(at, told, own, _of(teacher, label), match, alpha, units)
    found = {told["verdict"] for told in each.values()}
    verdict = next((kind for kind in ("no_match", "undecided") if kind in found), "match")
    shown = each[event["worst"]]
    if verdict != event["verdict"] or shown["verdict"] != verdict:
        faults.append(f"{name}: the verdict is {event['verdict']}, of the domains {found}")
    if any(event[key] != shown[key] for key in ("difference", "lower_bound", "p_value")):
        faults.append(f"{name}: the figures are not those of {event['worst']}")
    return faults


def _of(scores: dict[str, float], label: str) -> dict[str, float]:
    """Return the scores of one domain's items."""
    return {item: score for item, score in scores.items() if item.split(":")[0] == label}


def item_faults(
    name: str, event: dict[str, Any], students: list[dict[str, float]], teacher: dict[str, float],
    match: dict[str, Any], alpha: float, units: dict[str, str],
) -> list[str]:  # fmt: skip
    """Compare what is told of some items with what their scores give."""
    items = list(teacher)
    if any(item in units for item in items):
        names = [units[item] for item in items]
        own = np.array([grouped(student, items, names) for student in students])
        other = np.array(grouped(teacher, items, names))
    else:
        own = np.array([[student[item] for item in items] for student in students])
        other = np.array([teacher[item] for item in items])
    kept = 1.0 if match.get("retain") is None else match["retain"]
    bar = -match["margin"] if match.get("margin") is not None else 0.0
    found = figures(own, other, kept, bar, alpha, plain=len(other) == len(items))
    found |= {"items": len(other), "student_score": own.mean(), "teacher_score": other.mean()}
    found["difference"] = own.mean() - kept * other.mean()
    verdict = "match" if found["p_value"] < alpha else "undecided"
    if verdict != "match" and found["upper_bound"] < bar:
        verdict = "no_match"
    faults = [
        f"{name}: {key} is {event[key]} and should be {value}"
        for key, value in found.items()
        if abs(event[key] - value) > TOLERANCE
    ]
    if verdict != event["verdict"]:
        faults.append(f"{name}: the verdict is {event['verdict']}, not {verdict}")
    return faults


def trials_of(event: dict[str, Any], before: list[dict[str, Any]]) -> list[str]:
    """Return the tested trial and, of a recipe, those of its other seeds that finished."""
    if event.get("seeds", 1) == 1:
        return [event["trial"]]
    family = re.sub(r"-s\d+$", "", event["trial"])
    finished = [other["trial"] for other in before if other["event"] == "trial_finished"]
    return sorted(
        {trial for trial in finished if re.fullmatch(rf"{re.escape(family)}-s\d+", trial)}
    )


def grouped(scores: dict[str, float], items: list[str], names: list[str]) -> list[float]:
    """Return the mean score of each unit."""
    members = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        members[name].append(scores[item])
    return [float(np.mean(group)) for group in members.values()]


def figures(
    own: Any, other: Any, kept: float, bar: float, alpha: float, *, plain: bool
) -> dict[str, float]:
    """Return p-value and one-sided bounds by the test that fits the scores."""
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


def summary_faults(run: Path, plan: dict[str, Any], verdicts: dict[str, str]) -> list[str]:
    """Check what the summary selects."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf8"))
    matched = [size["size"] for size in plan["sizes"] if verdicts.get(size["size"]) == "match"]
    selected = summary["selected"]["size"] if summary["selected"] else None
    faults = []
    if selected != (matched[0] if matched else None):
        faults.append(f"the summary selects {selected}, the tests {matched[:1]}")
    if (summary["outcome"] in ("match", "withheld")) != bool(matched):
        faults.append(f"the outcome is {summary['outcome']} with matches at {matched}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
