"""The test on confirm: the only place where a size can become a match."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import ConfirmTested
from kdsearch.search.rules import Verdict
from kdsearch.stats.graded import paired_t_test, recipe_test, unit_means
from kdsearch.stats.paired import PairedTest, retain_test, tango_test

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from kdsearch.search.policy import Policy
    from kdsearch.search.rules import Rules


OF_A_DOMAIN = (
    "student_only", "teacher_only", "items", "student_score", "teacher_score", "difference",
    "lower_bound", "upper_bound", "p_value", "verdict", "in_units",
)  # fmt: skip
"""The fields of a test that are kept of each of several domains."""


def verdict_of(test: PairedTest, bar: float) -> Verdict:
    """Read a verdict off a test and the upper bound of the difference."""
    if test.passes:
        return Verdict.MATCH
    return Verdict.NO_MATCH if test.upper_bound < bar else Verdict.UNDECIDED


class Scores(NamedTuple):
    """What student and teacher scored on each confirm item."""

    students: Sequence[Sequence[float]]
    """For each seed, or for the one checkpoint, in the order of the teacher's."""
    teacher: Sequence[float]
    units: Sequence[Hashable] | None = None
    """The unit of each item, where items of one unit are not independent."""

    def at(self, places: Sequence[int]) -> Scores:
        """Return those of some items; units of one item each are none."""
        units = None if self.units is None else [self.units[place] for place in places]
        return Scores(
            [[student[place] for place in places] for student in self.students],
            [self.teacher[place] for place in places],
            units if units is not None and len(set(units)) < len(units) else None,
        )


def paired_test(scores: Scores, rules: Rules, alpha: float) -> PairedTest:
    """Test a student against the rules, by the test that fits its scores.

    Answers that are right or wrong take Tango's test, or the score test of a retained share.
    Graded ones, and items in units, take a paired t-test; several seeds the test of a recipe.

    Args:
        scores: Of every item.
        rules: Margin or share to retain.
        alpha: This test's share of the chance of a false match.
    """
    confidence, kept = 1.0 - alpha, 1.0 if rules.retain is None else rules.retain
    whole = _in_units(scores)
    flat = (score for each in (*whole.students, whole.teacher) for score in each)
    if (
        len(scores.students) > 1
        or whole is not scores
        or not all(score in (0.0, 1.0) for score in flat)
    ):
        values = [
            [own - kept * other for own, other in zip(student, whole.teacher, strict=True)]
            for student in whole.students
        ]
        if len(values) > 1:
            return recipe_test(values, -rules.bar, confidence)
        return paired_t_test(values[0], -rules.bar, confidence)
    pairs = list(zip(scores.students[0], scores.teacher, strict=True))
    b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
    if rules.margin is not None:
        return tango_test(b, c, len(pairs), rules.margin, confidence)
    return retain_test(pairs.count((1.0, 1.0)), b, c, len(pairs), kept, confidence)


def _in_units(scores: Scores) -> Scores:
    """Average the items of each unit, where there are units of several."""
    units = scores.units
    if units is None or len(set(units)) == len(units):
        return scores
    return Scores(
        [unit_means(student, units) for student in scores.students],
        unit_means(scores.teacher, units),
    )


def judge_on_confirm(
    size: str,
    trial: str | None,
    scores: Scores,
    rules: Rules,
    alpha: float,
    flops: Mapping[str, float],
) -> ConfirmTested:
    """Test a student on confirm and return the event that says so.

    Of several seeds, scores are means and counts those of the first, which dev chose by. Of items
    in units, all of it is said of the units, each counting as much as another.
    """
    test, given = paired_test(scores, rules, alpha), scores
    scores = _in_units(given)
    items, first = len(scores.teacher), scores.students[0]
    kept = 1.0 if rules.retain is None else rules.retain
    total = math.fsum(math.fsum(student) for student in scores.students)
    student_score = total / (items * len(scores.students))
    teacher_score = math.fsum(scores.teacher) / items
    return ConfirmTested(
        size=size,
        trial=trial,
        student_only=sum(own > other for own, other in zip(first, scores.teacher, strict=True)),
        teacher_only=sum(own < other for own, other in zip(first, scores.teacher, strict=True)),
        items=items,
        student_score=student_score,
        teacher_score=teacher_score,
        difference=student_score - kept * teacher_score,
        lower_bound=test.lower_bound,
        upper_bound=test.upper_bound,
        p_value=test.p_value,
        verdict=verdict_of(test, rules.bar),
        flops=flops,
        seeds=len(scores.students),
        in_units=scores is not given,
    )


def judge_on_domains(
    size: str,
    trial: str | None,
    scores: Scores,
    rules: Rules,
    alpha: float,
    flops: Mapping[str, float],
    places: Mapping[str, Sequence[int]],
) -> ConfirmTested:
    """Test a student on each domain at the same level, and match if it matches on all.

    Args:
        size: The size.
        trial: The trial that dev chose.
        scores: Of every item.
        rules: Margin or share to retain.
        alpha: This size's share of the chance of a false match.
        flops: What answering confirm cost.
        places: Of each domain's items, by its label.
    """
    each = {
        label: judge_on_confirm(size, trial, scores.at(own), rules, alpha, {})
        for label, own in places.items()
    }
    verdicts = {Verdict(event.verdict) for event in each.values()}
    verdict = next(
        (kind for kind in (Verdict.NO_MATCH, Verdict.UNDECIDED) if kind in verdicts), Verdict.MATCH
    )
    worst = max(each, key=lambda label: each[label].p_value)
    if verdict is Verdict.NO_MATCH:  # the domain that refuses it speaks
        worst = min(each, key=lambda label: each[label].upper_bound)
    whole = judge_on_confirm(size, trial, scores, rules, alpha, flops)
    shown = each[worst]
    return replace(
        whole,
        difference=shown.difference,
        lower_bound=shown.lower_bound,
        upper_bound=shown.upper_bound,
        p_value=shown.p_value,
        verdict=verdict,
        domains={label: _figures(event) for label, event in each.items()},
        worst=worst,
    )


def _figures(event: ConfirmTested) -> dict[str, Any]:
    """Return what a test says of one domain."""
    return {name: getattr(event, name) for name in OF_A_DOMAIN}


def confirm_event(
    policy: Policy,
    size: str,
    student_right: Sequence[float],
    teacher_right: Sequence[float],
    flops: Mapping[str, float] | None = None,
    *,
    units: Sequence[Hashable] | None = None,
) -> ConfirmTested:
    """Test a declared size on confirm, at its share of alpha.

    The bounds are one-sided at one minus that share, so that those of all sizes hold together.

    Args:
        policy: Has opened confirm.
        size: The size whose `Confirm` job was handed out.
        student_right: The student's score of each confirm item, 0 or 1 or graded.
        teacher_right: The teacher's, in the same order.
        flops: What answering confirm cost.
        units: The unit of each item, where items of one unit are not independent.
    """
    return recipe_event(policy, size, [student_right], teacher_right, flops, units=units)


def recipe_event(
    policy: Policy,
    size: str,
    students_right: Sequence[Sequence[float]],
    teacher_right: Sequence[float],
    flops: Mapping[str, float] | None = None,
    *,
    units: Sequence[Hashable] | None = None,
    places: Mapping[str, Sequence[int]] | None = None,
) -> ConfirmTested:
    """Test as `confirm_event` does, over the seeds of `Confirm.seeds` in their order.

    Of several domains, `places` are those of the items of each: see `judge_on_domains`.
    """
    alpha = policy.share(size)
    trial = next(verdict.best_trial for verdict in policy.verdicts() if verdict.size == size)
    scores = Scores(students_right, teacher_right, units)
    asked = size, trial, scores, policy.rules, alpha, flops or {}
    event = judge_on_domains(*asked, places) if places else judge_on_confirm(*asked)
    return replace(event, exploratory=policy.exploratory)
