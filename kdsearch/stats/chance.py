"""Whether a teacher knows anything: exact tests against answering without reading."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.stats.distributions import binomial_tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALPHA = 0.05
"""One-sided; a teacher must beat each kind of guessing at this level."""


class ChanceTest(NamedTuple):
    """A teacher against the most frequent answer and against uniform guessing."""

    majority_score: float | None
    """Score of the training split's most frequent answer; None where answers have no classes."""
    majority_p_value: float | None
    uniform_score: float | None
    """Expected score of picking an option at random; None without options."""
    uniform_p_value: float | None
    informative: bool
    """Whether the teacher is above all that it was compared with."""

    def figures(self) -> dict[str, float]:
        """Return the figures that exist; `p_value` is the larger one, which decides."""
        values = (self.majority_p_value, self.uniform_p_value)
        figures = {
            "majority_score": self.majority_score,
            "uniform_score": self.uniform_score,
            "p_value": max((value for value in values if value is not None), default=None),
        }
        return {name: value for name, value in figures.items() if value is not None}


@dataclass(frozen=True)
class Guesses:
    """What answering dev without reading would score, to test the teacher against."""

    majority_right: Sequence[float]
    """By item, whether the most frequent answer of train is right."""
    choices: Sequence[int]
    """By item, the number of options; empty where answers are free."""
    items: Sequence[int] | None = None
    """The places in dev of the items meant, one of each unit; None for all of them."""
    domains: Mapping[str, Guesses] = field(default_factory=dict)
    """Of a search over several domains, those of each by its label; they take the place of all."""


class JudgedTeacher(NamedTuple):
    """What of a teacher's answers to dev is above guessing."""

    chance: dict[str, float]
    """Figures of the test; of several domains, of the one with the largest p-value."""
    informative: bool
    """Whether the teacher is above guessing, on each domain."""
    domains: dict[str, dict[str, Any]]
    """By label, of several domains: `score`, `items`, `informative` and the figures of each."""


def judge_teacher(right: Sequence[float], guesses: Guesses) -> JudgedTeacher:
    """Test a teacher's scores on dev, in the order of the file, against guessing."""
    if not guesses.domains:
        test = _chance(right, guesses)
        return JudgedTeacher(test.figures(), test.informative, {})
    tests = {label: _chance(right, each) for label, each in guesses.domains.items()}
    figures = {label: test.figures() for label, test in tests.items()}
    worst = max(figures.values(), key=lambda each: each.get("p_value", 0.0))
    told = {}
    for label, each in guesses.domains.items():
        own = [right[item] for item in each.items or ()]
        score = {"score": math.fsum(own) / len(own), "items": len(own)}
        told[label] = {**score, **figures[label], "informative": tests[label].informative}
    return JudgedTeacher(worst, all(test.informative for test in tests.values()), told)


def _chance(right: Sequence[float], guesses: Guesses) -> ChanceTest:
    meant = right if guesses.items is None else [right[item] for item in guesses.items]
    return chance_test(meant, guesses.majority_right, guesses.choices or None)


def mcnemar_p_value(first_only: int, second_only: int) -> float:
    """Return the exact one-sided p-value of the first being better (McNemar 1947).

    Null hypothesis: an item that only one of the two has right is as likely the one's as the
    other's. Exact, so its error rate is at most nominal.

    Args:
        first_only: Items that the first has right and the second wrong.
        second_only: Items that the second has right and the first wrong.
    """
    return binomial_tail(first_only, first_only + second_only, 0.5)


def guessing_p_value(right: int, choices: Sequence[int]) -> float:
    """Return the p-value of so many right answers when every option is as likely.

    Null hypothesis: each item is right with chance one over its number of options. Binomial at
    the mean chance: exact for equal numbers of options, conservative in this tail for unequal
    ones (Hoeffding 1956).

    Args:
        right: Items answered right.
        choices: The number of options of each item.
    """
    items = len(choices)
    return binomial_tail(right, items, math.fsum(1.0 / count for count in choices) / items)


def chance_test(
    teacher_right: Sequence[float],
    majority_right: Sequence[float] | None = None,
    choices: Sequence[int] | None = None,
) -> ChanceTest:
    """Test whether a teacher is above answering without reading, on dev items.

    A graded score counts as right from one half on.

    Args:
        teacher_right: The teacher's score of each item.
        majority_right: The score of the training split's most frequent answer, where answers are
            classes.
        choices: The number of options of each item, where items have options.
    """
    right = [score >= 0.5 for score in teacher_right]
    majority_score = majority_p = uniform_score = uniform_p = None
    if majority_right is not None:
        pairs = list(zip(right, [score >= 0.5 for score in majority_right], strict=True))
        majority_score = math.fsum(majority_right) / len(majority_right)
        majority_p = mcnemar_p_value(pairs.count((True, False)), pairs.count((False, True)))
    if choices:
        uniform_score = math.fsum(1.0 / count for count in choices) / len(choices)
        uniform_p = guessing_p_value(sum(right), choices)
    informative = all(value is None or value <= ALPHA for value in (majority_p, uniform_p))
    return ChanceTest(majority_score, majority_p, uniform_score, uniform_p, informative)
