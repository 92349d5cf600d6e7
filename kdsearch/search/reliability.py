"""What is checked of the teacher: before students train, and before they are tested on confirm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import ConfirmChecked, TeacherReady
from kdsearch.search.answers import ItemScores, read_item_scores
from kdsearch.search.refusals import refusal_of
from kdsearch.search.sensitivity import allowed_loss, chance_score, sensitivity_of
from kdsearch.search.several import places_by_domain
from kdsearch.stats.chance import Guesses, judge_teacher
from kdsearch.stats.spread import unit_means
from kdsearch.stats.two_sample import Rate, shift_p_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.search.rules import Rules

LEVEL = 0.001
"""Of the comparison of dev and confirm. A teacher whose true scores there are the same, or differ
by no more than a match may lose, is refused in at most so many runs. Early stopping on dev stays
within it: simulated with the best of 10 independent checkpoints at an accuracy of .8, 300 dev and
600 confirm items and a margin of 3 points, 2 of 20,000 runs were refused."""


class TeacherOnConfirm(NamedTuple):
    """The teacher on confirm and on dev; of one domain, where there are several."""

    score: float
    items: int
    dev_score: float
    p_value: float
    """That confirm and dev differ by more than `allowed`."""
    allowed: float
    """What a student may lose and match."""
    chance: Mapping[str, Any]
    """Figures of guessing on confirm; empty where they are not known."""
    above_chance: bool

    @property
    def reliable(self) -> bool:
        """Whether students can be compared with such a teacher on confirm."""
        return self.above_chance and self.p_value > LEVEL

    def reason(self, label: str) -> str:
        """Say what speaks against it."""
        place = f" of {label}" if label else ""
        told = f"the teacher scores {self.dev_score:.3f} on dev and {self.score:.3f} on confirm"
        told += place
        if self.p_value <= LEVEL:
            told += (
                f", further apart than the {100 * self.allowed:.1f} points that a match may lose"
            )
        if not self.above_chance:
            told += f", where guessing scores {chance_score(self.chance):.3f}"
        return told


def teacher_event(
    folder: Path, result: Mapping[str, Any], guesses: Guesses, rules: Rules, model: str
) -> TeacherReady:
    """Compare the teacher's answers to dev with guessing, and its lead with the margin.

    Args:
        folder: The teacher's.
        result: Of the job that prepared it.
        guesses: What guessing scores on dev.
        rules: Margin or share to retain.
        model: Its name.
    """
    judged = judge_teacher(read_item_scores(folder / "dev.jsonl").scores, guesses)
    found = sensitivity_of(judged, result["score"], rules)
    return TeacherReady(
        model=model,
        parameters=result["parameters"],
        score=result["score"],
        items=result["items"],
        chance=judged.chance,
        informative=judged.informative,
        domains=judged.domains,
        flops=result["flops"],
        cut=result.get("cut", {}),
        signals=result.get("signals", {}),
        others=result.get("others", {}),
        sensitive=found.sensitive,
        sensitivity=found._asdict(),
        files=result.get("files", {}),
    )


def teacher_refused(
    folder: Path, result: Mapping[str, Any], guesses: Guesses, rules: Rules
) -> bool:
    """Whether the search will end with the teacher's answers to dev; see `refusal_of`."""
    return refusal_of(teacher_event(folder, result, guesses, rules, ""), rules) is not None


def confirm_check(
    dev: ItemScores,
    confirm: ItemScores,
    guesses: Guesses | None,
    rules: Rules,
    units: Mapping[str, str],
    *,
    several: bool = False,
) -> ConfirmChecked:
    """Compare the teacher's answers to confirm with guessing and with its answers to dev.

    Above guessing is what it is on dev: see `stats.chance`. Dev and confirm have other items, so
    that they are compared by a test of two samples, `stats.two_sample.shift_p_value`, at `LEVEL`
    and up to what a student may lose. Items of one unit count as one. Of several domains each is
    checked; one that fails is enough.

    Args:
        dev: The teacher's scores on dev.
        confirm: Its scores on confirm.
        guesses: What guessing scores on confirm; None if that is not known.
        rules: Margin or share to retain.
        units: By item the unit it belongs to; items without are independent.
        several: Whether items are of several domains.
    """
    judged = judge_teacher(confirm.scores, guesses) if guesses is not None else None
    findings = {}
    for label in places_by_domain(confirm.ids) if several else ("",):
        chance: Mapping[str, Any] = {}
        above = True
        if judged is not None:
            chance = judged.domains.get(label, judged.chance)
            above = chance.get("informative", judged.informative)
        then, now = (_of_domain(scores, label) for scores in (dev, confirm))
        dev_score, score = _mean(then), _mean(now)
        allowed = allowed_loss(rules, dev_score)
        p_value = shift_p_value(_rate(then, units), _rate(now, units), allowed)
        findings[label] = TeacherOnConfirm(
            score, len(now.ids), dev_score, p_value, allowed, chance, above
        )
    return ConfirmChecked(
        score=_mean(confirm),
        items=len(confirm.ids),
        dev_score=_mean(dev),
        chance=judged.chance if judged else {},
        p_value=min(found.p_value for found in findings.values()),
        reliable=all(found.reliable for found in findings.values()),
        reason="; ".join(
            found.reason(label) for label, found in findings.items() if not found.reliable
        ),
        domains={
            label: {**found._asdict(), "reliable": found.reliable}
            for label, found in findings.items()
            if label
        },
    )


def confirm_json(check: ConfirmChecked | None) -> dict[str, Any] | None:
    """Return what the check of confirm found, None where there was none."""
    if check is None:
        return None
    return {
        "reliable": check.reliable,
        "score": check.score,
        "dev_score": check.dev_score,
        "n": check.items,
        "chance": dict(check.chance),
        "p_value": check.p_value,
        "reason": check.reason,
        **(
            {"domains": {label: dict(it) for label, it in check.domains.items()}}
            if check.domains
            else {}
        ),
    }


def _of_domain(scores: ItemScores, label: str) -> ItemScores:
    """Return the scores of one of several domains; of no label, all."""
    if not label:
        return scores
    places = places_by_domain(scores.ids).get(label, [])
    return ItemScores(
        [scores.ids[place] for place in places], [scores.scores[place] for place in places]
    )


def _mean(scores: ItemScores) -> float:
    return math.fsum(scores.scores) / len(scores.scores)


def _rate(scores: ItemScores, units: Mapping[str, str]) -> Rate:
    """Average the items of each unit, which are not independent."""
    means = unit_means(scores.scores, [units.get(item, item) for item in scores.ids])
    return Rate(math.fsum(means), len(means))
