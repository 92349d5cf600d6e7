"""Recompute every verdict of a run from its stored answers, by other code than kdsearch's own.

    python -m benchmarks.audit RUN...

Reads journal, summary and answers as plain JSON; imports nothing of kdsearch. Runs of an older
version, whose journals do not say what a test spent, are held to the rules of that version. Exit
code 0 where all agrees, 1 where anything does not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.audit_figures import figures, former_figures, nominal_level, of_looks

TOLERANCE = 1e-6
"""Between a stored figure and the one found here."""

LOOSE = 1e-4
"""The same from a third look on, where normal probabilities are integrated by chance."""


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
    looks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    verdicts: dict[str, str] = {}
    tested = 0
    unspent: float | None = None
    for place, event in enumerate(events):
        if event["event"] == "run_started":
            plan = event["plan"]
        elif event["event"] == "trial_finished":
            faults += dev_faults(run, event)
        elif event["event"] == "confirm_opened":
            alphas = dict(zip(event["sizes"], event["alphas"], strict=True))
            unspent = event.get("alpha")
            faults += share_faults(event, plan)
        elif event["event"] == "confirm_tested":
            tested, name = tested + 1, event["size"]
            if name in verdicts and event.get("look", 1) == 1:
                faults.append(f"{name} is tested twice")
            probed = plan.get("probe_below") and "match" in verdicts.values()
            if name not in alphas and not probed:
                faults.append(f"{name} is tested and was not declared")
                continue
            alpha = alphas.get(name, 0.0)
            if unspent is not None:
                handed_on = event["alpha"] if probed else 0.0  # by the match that it is below
                alpha, unspent = event["alpha"], unspent + handed_on - event["alpha"]
                faults += [f"{name} spends more than is left"] if unspent < -1e-12 else []
            looks[name].append(event | {"alpha": alpha})
            faults += test_faults(run, events[:place], looks[name], plan["match"], units)
            verdicts[name] = "exploratory" if event["exploratory"] else event["verdict"]
    return faults + summary_faults(run, plan, verdicts), tested


def share_faults(event: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    """Check that each size takes half of what those before it left, the last one all of it.

    Until openings said what they spend, the candidate took half and the larger sizes even parts.
    """
    ladder = [size["size"] for size in plan["sizes"]]
    larger, whole = len(event["sizes"]) - 1, 1.0 - plan["match"]["confidence"]
    alpha = event.get("alpha")
    if alpha is None:
        expected = [whole / 2] + [whole / 2 / larger] * larger if larger else [whole]
    else:
        expected = [alpha / 2 ** (place + 1) for place in range(larger)]
        expected.append(alpha - sum(expected))
        if alpha > whole * (1.0 - plan["match"].get("reserve", 0.0)) + 1e-12:
            return [f"confirm is opened with {alpha}, more than alpha without its reserve"]
    if event.get("look", 1) == 1 and event["sizes"] != ladder[-len(event["sizes"]) :]:
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
    before: list[dict[str, Any]],
    looks: list[dict[str, Any]],
    match: dict[str, Any],
    units: dict[str, str],
) -> list[str]:
    """Compare the last test of a size on confirm with what its answers give."""
    event, name = looks[-1], looks[-1]["size"]
    count = event.get("look", 1)
    teacher = answers_until(run / "teacher", count)
    students = [answers_until(run / "trials" / trial, count) for trial in trials_of(event, before)]
    if any(set(student) != set(teacher) for student in students):
        return [f"{name}: student and teacher answered other items"]
    if len(students) != event.get("seeds", 1):
        return [f"{name}: {len(students)} seeds finished and {event['seeds']} were tested"]
    if event.get("domains"):
        return domain_faults(name, looks, students, teacher, match, units)
    return item_faults(name, looks, students, teacher, match, units)


def answers_until(folder: Path, look: int) -> dict[str, float]:
    """Return the scores of confirm, with those of the items that later looks added."""
    found = answers(folder / "confirm.jsonl")
    for number in range(2, look + 1):
        found |= answers(folder / f"confirm-{number}.jsonl")
    return found


def domain_faults(
    name: str, looks: list[dict[str, Any]], students: list[dict[str, float]],
    teacher: dict[str, float], match: dict[str, Any], units: dict[str, str],
) -> list[str]:  # fmt: skip
    """Compare a test over several domains with the tests of each, and its verdict with theirs."""
    faults, event = [], looks[-1]
    each = event["domains"]
    for label in each:
        own = [_of(student, label) for student in students]
        told = [look["domains"][label] | {"alpha": look["alpha"]} for look in looks]
        at = f"{name} on {label}"
        faults += item_faults(at, told, own, _of(teacher, label), match, units)
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
    name: str, looks: list[dict[str, Any]], students: list[dict[str, float]],
    teacher: dict[str, float], match: dict[str, Any], units: dict[str, str],
) -> list[str]:  # fmt: skip
    """Compare what is told of some items with what their scores give."""
    event, spends = looks[-1], looks[-1].get("level") is not None
    alpha = nominal_level(looks) if spends else event["alpha"]
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
    plain = len(other) == len(items)
    if len(looks) > 1:
        starts = [0, *(look["items"] for look in looks)]
        cuts = list(itertools.pairwise(starts))
        parts = [(own[0][start:end], other[start:end]) for start, end in cuts]
        found = of_looks(parts, kept, bar, alpha, plain=plain)
    else:
        test = figures if spends else former_figures
        found = test(own, other, kept, bar, alpha, plain=plain)
    found |= {"level": alpha} if spends else {}
    found |= {"items": len(other), "student_score": own.mean(), "teacher_score": other.mean()}
    found["difference"] = own.mean() - kept * other.mean()
    verdict = "match" if found["lower_bound"] > bar else "undecided"
    if verdict != "match" and found["upper_bound"] < bar:
        verdict = "no_match"
    faults = [
        f"{name}: {key} is {event[key]} and should be {value}"
        for key, value in found.items()
        if abs(event[key] - value) > (TOLERANCE if len(looks) < 3 else LOOSE)
    ]
    if verdict != event["verdict"]:
        faults.append(f"{name}: the verdict is {event['verdict']}, not {verdict}")
    return faults


def trials_of(event: dict[str, Any], before: list[dict[str, Any]]) -> list[str]:
    """Return the tested trial or, of a recipe, those of its seeds that finished.

    The seed that dev chose by is tested no more since tests say what they spend.
    """
    if event.get("seeds", 1) == 1:
        return [event["trial"]]
    family = re.sub(r"-s\d+$", "", event["trial"])
    finished = [other["trial"] for other in before if other["event"] == "trial_finished"]
    own = {trial for trial in finished if re.fullmatch(rf"{re.escape(family)}-s\d+", trial)}
    return sorted(own - ({event["trial"]} if event.get("level") is not None else set()))


def grouped(scores: dict[str, float], items: list[str], names: list[str]) -> list[float]:
    """Return the mean score of each unit."""
    members = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        members[name].append(scores[item])
    return [float(np.mean(group)) for group in members.values()]


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
