"""The search's decisions in words: one sentence each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.rules import Outcome, Verdict
from kdsearch.search.scaling import Seen, size_needed
from kdsearch.stats.distributions import normal_quantile
from kdsearch.stats.power import POWER, variance_of
from kdsearch.stats.sequential import nominal_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import ConfirmTested
    from kdsearch.search.route import Route
    from kdsearch.search.rules import Rules, SizeCost, SizeVerdict
    from kdsearch.search.state import SizeState


NO_DISTANCE = 1e-12
"""From the bar: no number of items decides then."""


def dev_reason(size: str, state: SizeState, then: str) -> str:
    """Say how dev decided a size, and what comes next."""
    index = state.best()
    evidence = None if index is None else state.results[index].evidence
    if state.verdict() is Verdict.FAILED:
        return f"{size} failed: no trial finished; {then}"
    words = "no match" if state.verdict() is Verdict.NO_MATCH else "undecided"
    if evidence is None:
        return f"{size} {words} on dev: no trial came near; {then}"
    needed = f"{evidence.required_score:.3f} needed"
    if state.winner is not None:
        return f"{size} passed: dev {evidence.score:.3f} with c{index}, {needed}; {then}"
    tried = f" after {state.settled} of {state.configurations}" if state.hopeless else ""
    return f"{size} {words} on dev{tried}: best {evidence.score:.3f} against {needed}; {then}"


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
    difference = against_teacher(tested.difference, _reference(rules))
    bar = "bar 0" if rules.retain is not None else f"margin {points(rules.bar)}"
    lower, upper = points(tested.lower_bound), points(tested.upper_bound)
    seeds = f" over {tested.seeds} seeds" if tested.seeds > 1 else ""
    count, in_units, place = tested.items, tested.in_units, ""
    if tested.worst is not None:
        worst = tested.domains[tested.worst]
        count, in_units, place = worst["items"], worst["in_units"], f" of {tested.worst}"
    looks = f" (look {tested.look})" if tested.look > 1 else ""
    items = f"{count} confirm {'units' if in_units else 'items'}{place}{looks}"
    return f"{difference} on {items}{seeds}, bounds {lower} to {upper} ({bar})"


def against_teacher(difference: float, reference: str = "the teacher") -> str:
    """Say a difference of scores in points."""
    if abs(difference) < 0.0005:
        return f"level with {reference}"
    side = "above" if difference > 0 else "below"
    return f"{100 * abs(difference):.1f} points {side} {reference}"


def percent(share: float) -> str:
    """Write a share that the user chose, such as 95% or 97.5%, without rounding it."""
    return f"{100 * share:.10g}%"


def _reference(rules: Rules) -> str:
    if rules.retain is None:
        return "the teacher"
    return f"{percent(rules.retain)} of the teacher's score"


def points(share: float) -> str:
    """Write a difference in points, its sign always shown."""
    return f"{100 * share:+.1f}"


class Hints(NamedTuple):
    """What may be said beside an answer; none of it is evidence."""

    more_items: int | None = None
    """Confirm items to add that would probably decide the last test."""
    parameters_needed: float | None = None
    """Where the trend over the failed sizes reaches the bar."""
    inverted: bool = False
    """Larger sizes did worse than smaller ones."""


def hints_of(
    route: Route, sizes: Sequence[SizeCost], tests: Sequence[ConfirmTested], rules: Rules
) -> Hints:
    """Work out what may be said beside an answer."""
    more = more_items(tests[-1], rules) if tests else None
    seen = [
        Seen(parameters, finding.distance)
        for position, finding in route.findings.items()
        if finding.distance is not None
        and not finding.passed
        and (parameters := sizes[position].parameters) is not None
    ]
    return Hints(more, size_needed(seen), route.scanning)


def more_items(test: ConfirmTested, rules: Rules) -> int | None:
    """Return how many items, or units, added to those of a test would probably decide it.

    Decided at the level that the next look has, were the difference that was observed true. None
    where nothing is left of alpha for it, and of several seeds, whose spread items do not lessen.
    Of several domains, what the one that is shown needs. After a third look the answer is rough.
    """
    undecided = test.verdict == Verdict.UNDECIDED and test.seeds == 1
    shown = test.domains[test.worst] if test.worst else test.__dict__
    known, level = int(shown["items"]), shown.get("level")
    if not undecided or test.alpha is None or level is None or not rules.reserve:
        return None
    variance = variance_of(test.lower_bound, test.upper_bound, known, level)
    distance = test.difference - rules.bar
    if abs(distance) < NO_DISTANCE or variance <= 0.0:
        return None
    critical = normal_quantile(1.0 - nominal_level((test.alpha, test.alpha * rules.reserve)))
    shown_now = abs(distance) * math.sqrt(known / variance)
    wanted = critical * math.sqrt(2.0) - shown_now + normal_quantile(POWER)
    return max(1, math.ceil(max(0.0, wanted) ** 2 * variance / distance**2))


def answer(
    outcome: Outcome,
    verdicts: Sequence[SizeVerdict],
    tests: Sequence[ConfirmTested],
    rules: Rules,
    hints: Hints,
) -> str:
    """Answer in one sentence how small a student can be."""
    tried = [verdict for verdict in verdicts if verdict.verdict is not Verdict.NOT_VISITED]
    if not tried:
        return "No size was visited."
    notes = []
    if hints.inverted:
        notes.append("larger sizes did worse on dev than smaller ones")
    if outcome is Outcome.MATCH:
        return f"{_match(verdicts, tests, rules)}{_joined(notes)}."
    if failed := [verdict.size for verdict in tried if verdict.verdict is Verdict.FAILED]:
        notes.append(f"no trial finished at {', '.join(failed)}")
    if hints.parameters_needed is not None:
        notes.append(f"the trend points to about {counted(hints.parameters_needed)} parameters")
    if left := [verdict.size for verdict in verdicts if verdict not in tried]:
        notes.append(f"{listed(left)} {'was' if len(left) == 1 else 'were'} not tried")
    if outcome is Outcome.NO_MATCH:
        return f"No tried configuration of {_sizes(tried)} matches the teacher{_joined(notes)}."
    if any(verdict.verdict is Verdict.MATCH for verdict in tried):
        notes.insert(0, "that test was exploratory and proves nothing")
    if not tests:
        return f"Undecided: nothing tried at {_sizes(tried)} passed on dev{_joined(notes)}."
    if hints.more_items is not None:
        word = "units" if tests[-1].in_units else "items"
        notes.insert(0, f"about {hints.more_items:,} more confirm {word} would decide")
    return f"Undecided: {tests[-1].size} was {measured(tests[-1], rules)}{_joined(notes)}."


def counted(value: float) -> str:
    """Write a count with two or three digits, such as `6.2M`."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}"


def _joined(notes: Sequence[str]) -> str:
    return "".join(f"; {note}" for note in notes)


def _match(verdicts: Sequence[SizeVerdict], tests: Sequence[ConfirmTested], rules: Rules) -> str:
    position, match = next(
        (position, verdict) for position, verdict in enumerate(verdicts) if verdict.proves_a_match
    )
    test = next(test for test in tests if test.size == match.size)
    claim = "match" if rules.retain is None else f"keep {percent(rules.retain)} of"
    found = f"the smallest student found to {claim} its teacher"
    if test.seeds > 1:
        found = f"the smallest size whose recipe was found to {claim} the teacher"
    score = "" if rules.retain is None else "'s score"
    return (
        f"{match.size} is {found}{score} with {percent(rules.confidence)} confidence: "
        f"{measured(test, rules)}{_below(verdicts, position, rules)}"
    )


def _below(verdicts: Sequence[SizeVerdict], position: int, rules: Rules) -> str:
    """Say what became of the next smaller size that was tried, and which were not."""
    if position == 0:
        return f"; it is the {'smallest' if len(verdicts) > 1 else 'only size'} of the ladder"
    smaller = verdicts[:position]
    tried = [verdict for verdict in smaller if verdict.verdict is not Verdict.NOT_VISITED]
    told = f"; {tried[-1].size} {_became(tried[-1])}" if tried else ""
    left = [verdict.size for verdict in smaller if verdict not in tried]
    if not left:
        return told
    were = "was" if len(left) == 1 else "were"
    hint = "" if rules.probe_below else f" (search.probe_below tries {left[-1]})"
    return f"{told}; {listed(left)} {were} not tried{hint}"


def _became(verdict: SizeVerdict) -> str:
    if verdict.verdict is Verdict.MATCH:
        return "matched in an exploratory test, which proves nothing"
    dev = verdict.decided_on == "dev"
    return {
        Verdict.UNDECIDED: "did not pass on dev" if dev else "is undecided",
        Verdict.FAILED: "finished no trial",
    }.get(verdict.verdict, "does not match")


def listed(names: Sequence[str]) -> str:
    """List names, such as `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _sizes(verdicts: Sequence[SizeVerdict]) -> str:
    """Name the sizes that were tried; sizes between them that were not are none of them."""
    return listed([v.size for v in verdicts if v.verdict is not Verdict.NOT_VISITED])
