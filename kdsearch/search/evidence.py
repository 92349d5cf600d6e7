"""What a trial's answers on dev say: whether confirm would probably confirm it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.stats.bounded import paired_limits
from kdsearch.stats.distributions import normal_quantile, normal_tail
from kdsearch.stats.paired import score_statistic, tango_statistic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.events import TrialProgress
    from kdsearch.search.rules import Rules


class Answers(NamedTuple):
    """How a student and its teacher answered the same items."""

    score: float
    student_only: int
    teacher_only: int
    items: int
    paired: Mapping[str, float] | None = None
    """Figures of the difference where counts do not say it: graded scores, items in units."""
    domains: Mapping[str, Mapping[str, Any]] | None = None
    """Of a search over several domains: the same figures of each alone."""

    @property
    def both(self) -> int:
        """Items that both have right."""
        return max(0, round(self.score * self.items) - self.student_only)


class Evidence(NamedTuple):
    """The paired difference on dev, with what the rules ask of it."""

    score: float
    """The student's."""
    difference: float
    """Student minus teacher, or minus the share of the teacher's to retain."""
    square: float
    """Mean squared difference an item; for a margin, the share of discordant items."""
    items: int
    required: float
    """The difference from which on the trial passes."""
    below: bool
    """Whether the one-sided upper bound of the difference lies below the bar."""
    confirm_items: int
    """On which it would be tested."""

    @property
    def passes(self) -> bool:
        """Whether confirm would probably confirm it."""
        return self.difference >= self.required

    @property
    def hope(self) -> float:
        """The chance that confirm would show what is required, given what dev showed."""
        error = math.sqrt(self.square / self.items + self.square / self.confirm_items)
        distance = self.required - self.difference
        return normal_tail(distance / error) if error else float(distance <= 0.0)

    @property
    def required_score(self) -> float:
        """The score from which on it would have passed, its disagreement being the same."""
        return self.score - self.difference + self.required


def answers_of(figures: Mapping[str, Any]) -> Answers:
    """Return answers as `several.figures` reports them."""
    counts = figures["student_only"], figures["teacher_only"], figures["items"]
    return Answers(figures["score"], *counts, figures.get("paired"))


def weigh(answers: Answers, rules: Rules) -> Evidence:
    """Compare a trial's answers on dev with what would probably be confirmed.

    It passes when its difference, observed again on the confirm items, would clear the bar at the
    candidate's share of alpha (half of what the opening may spend). A test on dev itself would make
    a small dev the bottleneck: with 600 items, 16 % of them discordant, a student equal to its
    teacher would pass a margin of three points only 57 % of the time.

    Of several domains, the one that is furthest from passing speaks for all, and one below the
    bar is enough to be below it.
    """
    if answers.domains:
        each = [weigh(answers_of(figures), rules) for figures in answers.domains.values()]
        worst = min(each, key=lambda evidence: evidence.difference - evidence.required)
        return worst._replace(below=any(evidence.below for evidence in each))
    difference, square, items = _moments(answers, rules)
    return Evidence(
        score=answers.score,
        difference=difference,
        square=square,
        items=items,
        required=rules.bar + _reach(square, rules),
        below=_below(answers, rules),
        confirm_items=rules.confirm_items,
    )


def weigh_progress(event: TrialProgress, rules: Rules) -> Evidence | None:
    """Weigh what a trial reports on its way; None if it has not answered dev."""
    if event.score is None or event.student_only is None or not event.items:
        return None
    counts = event.student_only, event.teacher_only or 0, event.items
    return weigh(Answers(event.score, *counts, event.paired, event.domains), rules)


def expected_at_the_bar(evidence: Evidence, rules: Rules) -> Evidence:
    """Return what a student on its way would show, were its difference already at the bar.

    Until then it also disagrees with the teacher on all that it has not learnt yet.
    """
    unlearnt = max(0.0, abs(evidence.difference) - abs(rules.bar))
    square = max(evidence.square - unlearnt, 1.0 / evidence.items)
    return evidence._replace(
        difference=rules.bar, square=square, required=rules.bar + _reach(square, rules)
    )


def _reach(square: float, rules: Rules) -> float:
    return normal_quantile(1.0 - rules.opening_alpha / 2.0) * math.sqrt(
        square / rules.confirm_items
    )


def _moments(answers: Answers, rules: Rules) -> tuple[float, float, int]:
    """Return mean and mean square of the difference, and the number of independent items."""
    items, kept = answers.items, rules.retain
    if answers.paired is not None:
        figures = answers.paired
        mean = figures["difference"]
        return mean, figures["deviation"] ** 2 + mean**2, int(figures["items"])
    if kept is None:
        one_sided = answers.student_only - answers.teacher_only
        return one_sided / items, (answers.student_only + answers.teacher_only) / items, items
    mean = answers.both * (1.0 - kept) + answers.student_only - kept * answers.teacher_only
    square = answers.both * (1.0 - kept) ** 2 + answers.student_only
    return mean / items, (square + kept**2 * answers.teacher_only) / items, items


def _below(answers: Answers, rules: Rules) -> bool:
    """Whether the one-sided upper bound of the difference lies below the bar."""
    if answers.paired is not None:
        return _upper_bound(answers.paired, rules) < rules.bar
    student_only, teacher_only, items = answers[1:4]
    if rules.retain is None:
        statistic = tango_statistic(student_only, teacher_only, items, rules.bar)
    else:
        neither = items - answers.both - student_only - teacher_only
        statistic = score_statistic(
            (1.0 - rules.retain, 1.0, -rules.retain, 0.0),
            (answers.both, student_only, teacher_only, max(0, neither)),
            0.0,
        )
    return statistic < -normal_quantile(rules.confidence)


def _upper_bound(figures: Mapping[str, float], rules: Rules) -> float:
    """Return an upper bound of a mean difference of which mean and deviation alone are known.

    One more item at the best score that is possible is counted in, as `bounded_mean_test` does, so
    that differences without variance are no certainty.
    """
    mean, count, best = figures["difference"], figures["items"], paired_limits(rules.retain).high
    whole = count + 1.0
    centre = mean + (best - mean) / whole
    squares = (count - 1.0) * figures["deviation"] ** 2 + (best - mean) ** 2 * count / whole
    return centre + normal_quantile(rules.confidence) * math.sqrt(squares) / whole
