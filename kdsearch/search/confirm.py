"""The test on confirm: the only place where a size can become a match."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import ConfirmTested
from kdsearch.search.rules import Verdict
from kdsearch.stats.bounded import bounded_mean_test, paired_limits
from kdsearch.stats.looks import (
    PartEvidence,
    binary_evidence,
    bounded_evidence,
    combined_test,
    retained_evidence,
)
from kdsearch.stats.paired import PairedTest, exact_tango_test, retain_test
from kdsearch.stats.seeds import recipe_test
from kdsearch.stats.sequential import nominal_level
from kdsearch.stats.spread import unit_means

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from kdsearch.search.policy import Policy
    from kdsearch.search.rules import Rules


OF_A_DOMAIN = (
    "student_only", "teacher_only", "items", "student_score", "teacher_score", "difference",
    "lower_bound", "upper_bound", "p_value", "verdict", "in_units", "level",
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


FEW = 20
"""Discordant items below which a retained share is tested without asking how they spread."""


class Level(NamedTuple):
    """What a test may spend of the chance of a false match, and what was spent before it."""

    alpha: float
    before: tuple[float, ...] = ()
    """By the earlier looks at the same students."""
    look: int = 1
    """Counts the openings of confirm; a size may be left out of one."""

    @property
    def nominal(self) -> float:
        """The level of the statistic that combines all looks."""
        return nominal_level((*self.before, self.alpha))


def paired_test(
    scores: Scores, rules: Rules, alpha: float, batches: Sequence[Sequence[int]] = ()
) -> PairedTest:
    """Test a student against the rules, by the test that fits its scores.

    Answers that are right or wrong take Tango's test at its exact level, or the score test of a
    retained share. Graded ones, and items in units, take the test of a bounded mean; several seeds
    the test of a recipe.

    Args:
        scores: Of every item.
        rules: Margin or share to retain.
        alpha: The level: the chance of a false match.
        batches: The places of the items that each look added, where there were several.

    Raises:
        ValueError: If several seeds are tested at a second look: items do not lessen their spread.
    """
    if len(batches) > 1:
        if len(scores.students) > 1:
            raise ValueError("several seeds are tested at one look alone")
        parts = [evidence_of(_in_units(scores.at(batch)), rules) for batch in batches]
        return combined_test(parts, rules.bar, alpha)
    confidence, kept = 1.0 - alpha, 1.0 if rules.retain is None else rules.retain
    whole, limits = _in_units(scores), paired_limits(rules.retain)
    values = [
        [own - kept * other for own, other in zip(student, whole.teacher, strict=True)]
        for student in whole.students
    ]
    if len(values) > 1:
        return recipe_test(values, limits, rules.bar, confidence)
    flat = (score for each in (*whole.students, whole.teacher) for score in each)
    if whole is scores and all(score in (0.0, 1.0) for score in flat):
        pairs = list(zip(scores.students[0], scores.teacher, strict=True))
        b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
        if rules.margin is not None:
            return exact_tango_test(b, c, len(pairs), rules.margin, confidence)
        if b + c >= FEW:
            return retain_test(pairs.count((1.0, 1.0)), b, c, len(pairs), kept, confidence)
    return bounded_mean_test(values[0], limits, rules.bar, confidence)


def evidence_of(scores: Scores, rules: Rules) -> PartEvidence:
    """Return what the items of one look say of each hypothesised difference.

    Args:
        scores: Of one student; of whole units.
        rules: Margin or share to retain.
    """
    kept, teacher, student = rules.retain or 1.0, scores.teacher, scores.students[0]
    if all(score in (0.0, 1.0) for score in (*student, *teacher)):
        pairs = list(zip(student, teacher, strict=True))
        b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
        if rules.margin is not None:
            return binary_evidence(b, c, len(pairs), rules.margin)
        if b + c >= FEW:
            return retained_evidence(pairs.count((1.0, 1.0)), b, c, len(pairs), kept)
    values = [own - kept * other for own, other in zip(student, teacher, strict=True)]
    return bounded_evidence(values, paired_limits(rules.retain), rules.bar)


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
    level: Level,
    flops: Mapping[str, float],
    batches: Sequence[Sequence[int]] = (),
) -> ConfirmTested:
    """Test a student on confirm and return the event that says so.

    Of several seeds, scores are means and counts those of the first. Of items in units, all of it
    is said of the units, each counting as much as another.
    """
    given, scores = scores, _in_units(scores)
    items, first = len(scores.teacher), scores.students[0]
    test = paired_test(given, rules, level.nominal, batches)
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
        alpha=level.alpha,
        level=level.nominal,
        look=level.look,
        seeds=len(scores.students),
        in_units=scores is not given,
    )


def judge_on_domains(
    size: str,
    trial: str | None,
    scores: Scores,
    rules: Rules,
    level: Level,
    flops: Mapping[str, float],
    places: Mapping[str, Sequence[int]],
    batches: Sequence[Sequence[int]] = (),
) -> ConfirmTested:
    """Test a student on each domain at the same level, and match if it matches on all.

    Args:
        size: The size.
        trial: The trial that dev chose.
        scores: Of every item.
        rules: Margin or share to retain.
        level: Of each domain's test.
        flops: What answering confirm cost.
        places: Of each domain's items, by its label.
        batches: The places of the items that each look added, where there were several.
    """
    each = {}
    for label, own in places.items():
        index = {place: at for at, place in enumerate(own)}
        parts = [[index[place] for place in batch if place in index] for batch in batches]
        each[label] = judge_on_confirm(size, trial, scores.at(own), rules, level, {}, parts)
    verdicts = {Verdict(event.verdict) for event in each.values()}
    verdict = next(
        (kind for kind in (Verdict.NO_MATCH, Verdict.UNDECIDED) if kind in verdicts), Verdict.MATCH
    )
    worst = max(each, key=lambda label: each[label].p_value)
    if verdict is Verdict.NO_MATCH:  # the domain that refuses it speaks
        worst = min(each, key=lambda label: each[label].upper_bound)
    whole = judge_on_confirm(size, trial, scores, rules, level, flops, batches)
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
    look: int = 1,
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
        look: Counts the openings of confirm.
    """
    scores = [student_right], teacher_right
    return recipe_event(policy, size, *scores, flops, units=units, look=look)


def recipe_event(
    policy: Policy,
    size: str,
    students_right: Sequence[Sequence[float]],
    teacher_right: Sequence[float],
    flops: Mapping[str, float] | None = None,
    *,
    units: Sequence[Hashable] | None = None,
    places: Mapping[str, Sequence[int]] | None = None,
    look: int = 1,
    added: Sequence[int] = (),
) -> ConfirmTested:
    """Test as `confirm_event` does, over the seeds of `Confirm.seeds` in their order.

    Of several domains, `places` are those of the items of each: see `judge_on_domains`. `added`
    counts the items of each look; unless given, they are those of earlier tests.
    """
    before = policy.earlier_tests(size)
    trial = next(verdict.best_trial for verdict in policy.verdicts() if verdict.size == size)
    scores = Scores(students_right, teacher_right, units)
    level = Level(policy.share(size), tuple(test.alpha or 0.0 for test in before), look)
    ends = [sum(added[: test.look]) if added else test.items for test in before]
    ends.append(len(teacher_right))
    batches = [range(start, end) for start, end in pairwise([0, *ends])] if before else []
    asked, flops = (size, trial, scores, policy.rules, level), flops or {}
    if places:
        event = judge_on_domains(*asked, flops, places, batches)
    else:
        event = judge_on_confirm(*asked, flops, batches)
    return replace(event, exploratory=policy.exploratory)
