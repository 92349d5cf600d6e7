"""Searches over several domains: a student matches if it matches on each of them.

That is an intersection-union test (Berger 1982): each domain is tested at the whole level, and no
correction is due, because a false match needs every one of them to be false.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kdsearch.plugin.union import label_of
from kdsearch.stats.spread import paired_figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def places_by_domain(items: Sequence[str]) -> dict[str, list[int]]:
    """Return where the items of each domain stand, by its label, in order of appearance."""
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(label_of(item), []).append(place)
    return places


def figures(
    student: Sequence[float],
    teacher: Sequence[float],
    retain: float | None,
    units: Sequence[str] | None,
) -> dict[str, Any]:
    """Return what a trial reports of the answers to some items.

    Returns:
        `score`, `student_only`, `teacher_only`, `items` and, of graded scores or items in units,
        `paired`: see `TrialFinished`.
    """
    pairs = list(zip(student, teacher, strict=True))
    found: dict[str, Any] = {
        "score": math.fsum(student) / len(student),
        "student_only": sum(own > other for own, other in pairs),
        "teacher_only": sum(own < other for own, other in pairs),
        "items": len(student),
    }
    if units is not None or not all(score in (0.0, 1.0) for pair in pairs for score in pair):
        found["paired"] = paired_figures(student, teacher, retain, units)
    return found


def figures_by_domain(
    items: Sequence[str],
    student: Sequence[float],
    teacher: Sequence[float],
    retain: float | None,
    units: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return `figures` of each domain's items, by its label.

    Args:
        items: Ids.
        student: The student's score of each.
        teacher: The teacher's.
        retain: The share of the teacher's score to keep, where that is the claim.
        units: By item the unit it belongs to; of a domain whose items are independent, itself.
    """
    found = {}
    for label, places in places_by_domain(items).items():
        own = [units.get(items[place], items[place]) for place in places]
        found[label] = figures(
            [student[place] for place in places],
            [teacher[place] for place in places],
            retain,
            own if len(set(own)) < len(own) else None,
        )
    return found
