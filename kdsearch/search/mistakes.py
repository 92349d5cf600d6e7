"""Where a student and its teacher err, item by item: a four-way table, groups, telling items.

All of it is about dev, which steers the search: what is read here may be learnt from. Nothing here
decides a size.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plugin.texts import plain
from kdsearch.search.confirm import Scores, paired_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.search.rules import Rules

SMALLEST_GROUP = 20
"""Independent items; the bounds of a smaller group would span tens of points."""

RIGHT = 0.5
"""A graded score counts as right from here on."""


class Mistake(StrEnum):
    """How student and teacher stand on an item, the most telling first."""

    ONLY_TEACHER = "only_teacher"
    """Right is the teacher alone: lost in distillation."""
    SAME_WRONG = "same_wrong"
    """Both give the same wrong answer: inherited."""
    OTHER_WRONG = "other_wrong"
    """Both are wrong, each in its own way."""
    ONLY_STUDENT = "only_student"
    """Right is the student alone."""
    BOTH_RIGHT = "both_right"


@dataclass(frozen=True)
class Answered:
    """An item with what was said to it."""

    id: str
    question: str
    correct: str
    teacher: str
    student: str
    teacher_score: float
    student_score: float
    choices: tuple[str, ...] = ()
    group: str | None = None
    unit: str | None = None
    """Items of one unit are not independent; None where all are."""
    confidence: float | None = None
    """The student's probability of its own answer among the options."""

    @property
    def mistake(self) -> Mistake:
        """How the two stand on it."""
        student, teacher = self.student_score >= RIGHT, self.teacher_score >= RIGHT
        if student or teacher:
            if student and teacher:
                return Mistake.BOTH_RIGHT
            return Mistake.ONLY_STUDENT if student else Mistake.ONLY_TEACHER
        return Mistake.SAME_WRONG if self.agrees else Mistake.OTHER_WRONG

    @property
    def agrees(self) -> bool:
        """Whether both say the same, but for case and whitespace."""
        return plain(self.student) == plain(self.teacher)

    def to_json(self) -> dict[str, Any]:
        """Return what is written of it."""
        told = {
            "id": self.id,
            "mistake": self.mistake.value,
            "group": self.group,
            "question": self.question,
            "choices": list(self.choices),
            "correct": self.correct,
            "teacher": self.teacher,
            "student": self.student,
            "confidence": self.confidence,
        }
        return {name: value for name, value in told.items() if value not in (None, [])}


class GroupErrors(NamedTuple):
    """One slice of the domain."""

    group: str
    items: int
    student_score: float
    teacher_score: float
    difference: float
    """Student minus teacher, or minus the share of it to retain."""
    lower_bound: float | None
    """None where the group is too small to say."""
    upper_bound: float | None


def contrast(items: Sequence[Answered], rules: Rules) -> dict[str, Any]:
    """Return a student's errors beside its teacher's, as the journal keeps them.

    Returns:
        `items`, the count of each `Mistake`, `agreement` (the share of equal answers),
        `inherited` (of the teacher's errors, the share that the student repeats; None without
        any), `groups` and `worst_group` (None where no two groups are large enough).
    """
    counts = Counter(item.mistake for item in items)
    teacher_wrong = sum(item.teacher_score < RIGHT for item in items)
    groups = group_errors(items, rules)
    worst = worst_group(groups)
    return {
        "items": len(items),
        **{mistake.value: counts[mistake] for mistake in Mistake},
        "agreement": sum(item.agrees for item in items) / len(items),
        "inherited": counts[Mistake.SAME_WRONG] / teacher_wrong if teacher_wrong else None,
        "groups": [group._asdict() for group in groups],
        "worst_group": worst.group if worst else None,
    }


def group_errors(items: Sequence[Answered], rules: Rules) -> list[GroupErrors]:
    """Compare student and teacher in each group, by name.

    Each bound is one-sided at one minus alpha over the number of groups, so that those of all
    groups hold together and the worst may be picked after they are seen (Bonferroni).
    """
    members: dict[str, list[Answered]] = defaultdict(list)
    for item in items:
        if item.group is not None:
            members[item.group].append(item)
    large = {group for group, listed in members.items() if _independent(listed) >= SMALLEST_GROUP}
    alpha = rules.alpha / max(1, len(large))
    return [
        _compared(group, listed, rules, alpha if group in large else None)
        for group, listed in sorted(members.items())
    ]


def worst_group(groups: Sequence[GroupErrors]) -> GroupErrors | None:
    """Return the group of the lowest difference, of two or more that are large enough."""
    bounded = [group for group in groups if group.lower_bound is not None]
    return min(bounded, key=lambda group: group.difference) if len(bounded) > 1 else None


def telling(items: Sequence[Answered]) -> list[Answered]:
    """Return the items that either has wrong, the most telling first.

    By kind of mistake, then the ones that the student was surest of.
    """
    order = list(Mistake)
    wrong = [item for item in items if item.mistake is not Mistake.BOTH_RIGHT]
    return sorted(wrong, key=lambda item: (order.index(item.mistake), -(item.confidence or 0.0)))


def _independent(items: Sequence[Answered]) -> int:
    return len({item.id if item.unit is None else item.unit for item in items})


def _compared(
    group: str, items: Sequence[Answered], rules: Rules, alpha: float | None
) -> GroupErrors:
    student = [item.student_score for item in items]
    teacher = [item.teacher_score for item in items]
    means = sum(student) / len(items), sum(teacher) / len(items)
    kept = 1.0 if rules.retain is None else rules.retain
    bounds: tuple[float | None, float | None] = (None, None)
    if alpha is not None:
        units = [item.unit or item.id for item in items]
        test = paired_test(Scores([student], teacher, units), rules, alpha)
        bounds = test.lower_bound, test.upper_bound
    return GroupErrors(group, len(items), *means, means[0] - kept * means[1], *bounds)
