"""The search's decisions in words: one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.search.rules import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import ConfirmTested
    from kdsearch.search.evidence import Evidence
    from kdsearch.search.rules import Rules, SizeVerdict


def dev_reason(
    size: str, index: int | None, evidence: Evidence | None, passed: bool, then: str
) -> str:
    """Say how dev decided a size, and what comes next."""
    if evidence is None:
        return f"{size} failed: no trial finished; {then}"
    needed = f"{evidence.required_score:.3f} needed"
    if passed:
        return f"{size} passed: dev {evidence.score:.3f} with c{index}, {needed}; {then}"
    return f"{size} failed: best dev {evidence.score:.3f} against {needed}; {then}"


def confirm_reason(tested: ConfirmTested, rules: Rules, then: str) -> str:
    """Say what confirm found of a size."""
    verb = {
        Verdict.MATCH: "matches",
        Verdict.NO_MATCH: "does not match",
        Verdict.UNDECIDED: "is undecided",
    }[Verdict(tested.verdict)]
    return f"{tested.size} {verb}: {measured(tested, rules)}; {then}"


def measured(tested: ConfirmTested, rules: Rules) -> str:
    """Say the difference on confirm with the bound that decides."""
    if rules.retain is not None:
        shown, bar = "above the retained share", f"{rules.retain:.0%} to retain"
        difference = f"{points(tested.difference)} {shown}"
    else:
        bar = f"margin {points(rules.bar)}"
        difference = against_teacher(tested.difference)
    lower, upper = points(tested.lower_bound), points(tested.upper_bound)
    return f"{difference} on {tested.items} confirm items, bounds {lower} to {upper} ({bar})"


def against_teacher(difference: float) -> str:
    """Say a difference of scores in points."""
    if abs(difference) < 0.0005:
        return "level with the teacher"
    side = "above" if difference > 0 else "below"
    return f"{100 * abs(difference):.1f} points {side} the teacher"


def points(share: float) -> str:
    """Write a difference in points, its sign always shown."""
    return f"{100 * share:+.1f}"


def answer(
    outcome: Outcome,
    verdicts: Sequence[SizeVerdict],
    tests: Sequence[ConfirmTested],
    rules: Rules,
    more_items: int | None,
) -> str:
    """Answer in one sentence how small a student can be."""
    tried = [verdict for verdict in verdicts if verdict.verdict is not Verdict.NOT_VISITED]
    if outcome is Outcome.UNINFORMATIVE_TEACHER:
        return "The teacher is not above guessing on dev, so there is nothing to match."
    if not tried:
        return "No size was visited."
    if outcome is Outcome.MATCH:
        match = min(
            (verdict for verdict in tried if verdict.verdict is Verdict.MATCH),
            key=verdicts.index,
        )
        test = next(test for test in tests if test.size == match.size)
        tail = _below(verdicts, verdicts.index(match))
        return (
            f"{match.size} is the smallest student found to match its teacher with "
            f"{rules.confidence:.0%} confidence: {measured(test, rules)}{tail}."
        )
    failed = [verdict.size for verdict in tried if verdict.verdict is Verdict.FAILED]
    note = f"; no trial finished at {', '.join(failed)}" if failed else ""
    if outcome is Outcome.NO_MATCH:
        return f"No tried configuration of {_sizes(tried)} matches the teacher{note}."
    if tests:
        test = tests[-1]
        more = f"; about {more_items:,} confirm items would decide" if more_items else ""
        return f"Undecided: {test.size} was {measured(test, rules)}{more}{note}."
    return f"Undecided: nothing tried at {_sizes(tried)} passed on dev{note}."


def _below(verdicts: Sequence[SizeVerdict], position: int) -> str:
    """Say what became of the next smaller size."""
    if position == 0:
        return "; it is the smallest of the ladder"
    below = verdicts[position - 1]
    word = {
        Verdict.NOT_VISITED: "was not visited",
        Verdict.UNDECIDED: "did not pass on dev" if below.decided_on == "dev" else "is undecided",
        Verdict.FAILED: "finished no trial",
    }.get(below.verdict, "does not match")
    return f"; {below.size} {word}"


def _sizes(tried: Sequence[SizeVerdict]) -> str:
    if len(tried) == 1:
        return tried[0].size
    return f"{len(tried)} sizes from {tried[0].size} to {tried[-1].size}"
