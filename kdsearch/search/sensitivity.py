"""Whether the margin can tell a student that reads from one that only guesses.

A comparison that a placebo would pass proves nothing: its margin has to be smaller than the lead of
the active control, here the teacher, over placebo, here guessing (ICH E10, "Choice of control group
in clinical trials", 2000, section 1.5: assay sensitivity).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.search.sentences import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.search.rules import Rules
    from kdsearch.stats.chance import JudgedTeacher


class Sensitivity(NamedTuple):
    """What a match may lose on dev, beside what guessing loses."""

    allowed: float
    """How far below the teacher still matches."""
    score: float
    """The teacher's."""
    chance: float
    """Of the better way of guessing."""
    domain: str | None = None
    """Of several, the one where guessing is nearest to a match."""

    @property
    def lead(self) -> float:
        """How far the teacher is above guessing."""
        return self.score - self.chance

    @property
    def sensitive(self) -> bool:
        """Whether guessing is outside of what matches."""
        return round(self.lead - self.allowed, 12) > 0.0


def allowed_loss(rules: Rules, teacher_score: float) -> float:
    """Return how far below a teacher's score a student may be and match."""
    if rules.margin is not None:
        return rules.margin
    return (1.0 - (rules.retain or 0.0)) * teacher_score


def sensitivity_of(judged: JudgedTeacher, score: float, rules: Rules) -> Sensitivity:
    """Compare what a match may lose with the teacher's lead over guessing on dev.

    Args:
        judged: The teacher's answers to dev beside guessing.
        score: The teacher's, on dev.
        rules: Margin or share to retain.
    """
    if not judged.domains:
        return Sensitivity(allowed_loss(rules, score), score, chance_score(judged.chance))
    each = [
        Sensitivity(allowed_loss(rules, found["score"]), found["score"], chance_score(found), label)
        for label, found in judged.domains.items()
    ]
    return min(each, key=lambda one: one.lead - one.allowed)


def chance_score(figures: Mapping[str, Any]) -> float:
    """Return the score of the better way of guessing; 0 where there is none."""
    return max(float(figures.get(f"{way}_score", 0.0)) for way in ("majority", "uniform"))


def insensitive_reason(found: Sensitivity) -> str:
    """Say why a student that only guesses would match."""
    where = "dev" if found.domain is None else f"dev of {found.domain}"
    return (
        f"a student may lose {100 * found.allowed:.1f} points and match, and the teacher is only "
        f"{100 * found.lead:.1f} points above guessing on {where} ({found.score:.3f} against "
        f"{found.chance:.3f}), so one that knows nothing would match"
    )


def sensitive_setting(found: Sensitivity, rules: Rules) -> str:
    """Say which margin, or share to retain, would tell guessing from a match."""
    lead = math.floor(1e4 * found.lead) / 1e4
    if lead <= 0.0:
        return "no margin is small enough: the teacher has to be better"
    if rules.retain is None:
        return f"match.margin must be below {lead:g}"
    kept = math.ceil(1e4 * (1.0 - found.lead / found.score)) / 1e4
    return f"match.retain must be above {kept:g} ({percent(kept)} of the teacher's score)"
