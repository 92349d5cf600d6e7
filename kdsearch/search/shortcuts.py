"""Whether answers come from reading: the shares of each answer, and what survives a change.

A model that leans on the place of an option loses its score when the options change places; one
that leans on the options alone keeps it when the question is blanked.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.search.confirm import Scores, paired_test, verdict_of
from kdsearch.search.rules import Verdict
from kdsearch.stats.chance import mcnemar_p_value
from kdsearch.stats.paired import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kdsearch.search.rules import Rules

SHOWN_ANSWERS = 10
"""Answers of a histogram that are kept; free answers may be thousands."""


ALWAYS = 0.95
"""The share of items from which an answer counts as the only one that a model gives."""


class Kept(NamedTuple):
    """What answers keep once the options have changed places; an item each time."""

    option: Sequence[bool]
    """The option that was chosen before is chosen again."""
    place: Sequence[bool]
    """The place that was chosen before is chosen again."""

    @property
    def by_place(self) -> float:
        """The exact p-value of keeping the place more often than the option (McNemar 1947)."""
        pairs = list(zip(self.place, self.option, strict=True))
        return mcnemar_p_value(pairs.count((True, False)), pairs.count((False, True)))


class Share(NamedTuple):
    """How often one answer is given, and how often it is right."""

    answer: str
    given: int
    gold: int


def histogram(given: Sequence[str], gold: Sequence[str]) -> list[Share]:
    """Count answers beside the right ones, the most frequently given first."""
    ours, theirs = Counter(given), Counter(gold)
    shares = [Share(answer, ours[answer], theirs[answer]) for answer in {*ours, *theirs}]
    return sorted(shares, key=lambda share: (-share.given, -share.gold, share.answer))


def one_answer(share: float, gold_share: float) -> bool:
    """Whether a model answers always alike, and the questions do not.

    Args:
        share: Of the items, on which its most frequent answer is given.
        gold_share: On which that answer is right.
    """
    return share >= ALWAYS > gold_share


def permuted_figures(
    changed: Sequence[float],
    original: Sequence[float],
    kept: Kept,
    rules: Rules,
    units: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Compare a model's answers to permuted options with those to the options as they stand.

    The claim is the run's own, made of the model against itself: where it would be `no_match` by
    the match's test and margin, its score `collapses`. So a loss beyond the margin is shown, at
    the match's confidence, before a model is said to rely on a shortcut. A model whose score is
    no better than chance cannot lose by it; it answers `by_place` where it keeps the place of its
    answer more often than the option, at the same confidence.

    Args:
        changed: The score of each item with its options permuted.
        original: As they stand.
        kept: What the answers keep, on items that do not depend on each other.
        rules: Margin or share to retain, and confidence.
        units: The unit of each item, where items of one unit are not independent.

    Returns:
        `score`, `agreement` (the share of items on which the option is kept), `same_place`,
        `difference` with its bounds, each one-sided, `collapses` and `by_place`.
    """
    test = paired_test(Scores([changed], original, units), rules, rules.alpha)
    share = 1.0 if rules.retain is None else rules.retain
    score, before = (sum(scores) / len(scores) for scores in (changed, original))
    return {
        "score": score,
        "agreement": sum(kept.option) / len(kept.option),
        "same_place": sum(kept.place) / len(kept.place),
        "difference": score - share * before,
        "lower_bound": test.lower_bound,
        "upper_bound": test.upper_bound,
        "collapses": verdict_of(test, rules.bar) is Verdict.NO_MATCH,
        "by_place": kept.by_place <= rules.alpha,
    }


def blanked_figures(
    changed: Sequence[float],
    original: Sequence[float],
    rules: Rules,
    units: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Compare a model's answers without the question with those to the whole prompt.

    A model `reads` the question where losing it is shown to cost more than a match may lose, by the
    match's own test and at its confidence: where it would be `no_match` against itself. Where that
    is not shown, a student that never sees a question may match it.

    Args:
        changed: The score of each item without its question.
        original: With it.
        rules: Margin or share to retain, and confidence.
        units: The unit of each item, where items of one unit are not independent.

    Returns:
        `score` with its two-sided `ci`, `full_score`, `difference` with its bounds, each one-sided,
        and `reads`.
    """
    test = paired_test(Scores([changed], original, units), rules, rules.alpha)
    share, items = 1.0 if rules.retain is None else rules.retain, len(changed)
    score, before = (math.fsum(scores) / items for scores in (changed, original))
    return {
        "score": score,
        "ci": list(wilson_interval(math.fsum(changed), items, rules.confidence)),
        "full_score": before,
        "difference": score - share * before,
        "lower_bound": test.lower_bound,
        "upper_bound": test.upper_bound,
        "reads": verdict_of(test, rules.bar) is Verdict.NO_MATCH,
    }
