"""Whether a match by scores is one: what teacher, margin, data and audits have against it.

Scores alone cannot tell a student that reads from one that has found another way to its answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import ConfirmChecked, Event, ModelAudited, TeacherReady
from kdsearch.search.audits import shortcut_evidence, shortcuts_of
from kdsearch.search.rules import Outcome
from kdsearch.search.sensitivity import Sensitivity, insensitive_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kdsearch.search.policy import Policy


class Conclusion(NamedTuple):
    """What `RunFinished` says."""

    outcome: Outcome
    sentence: str
    withheld: tuple[str, ...] = ()
    """What speaks against the match; by `--force` the outcome is a match all the same."""
    more_items: int | None = None
    """Confirm items that, added, would probably decide."""


def conclude(policy: Policy, events: Iterable[Event]) -> Conclusion:
    """Return a run's answer; a match that something speaks against is withheld or, forced, flagged.

    Args:
        policy: Has no more jobs.
        events: The journal's.
    """
    outcome, sentence = policy.outcome(), policy.sentence()
    if outcome is not Outcome.MATCH:
        return Conclusion(outcome, sentence, more_items=policy.more_items)
    size = next(verdict.size for verdict in policy.verdicts() if verdict.proves_a_match)
    found = tuple(objections(events, size))
    if not found:
        return Conclusion(outcome, sentence)
    told = "; ".join(found)
    if policy.rules.force:
        return Conclusion(outcome, f"{sentence} Beware, a match by --force: {told}.", found)
    return Conclusion(
        Outcome.WITHHELD,
        f"Match withheld: {told}; --force declares it all the same. By scores alone: {sentence}",
        found,
    )


def objections(events: Iterable[Event], size: str) -> Iterator[str]:
    """Say what speaks against a size's match by scores, from what was found last.

    Args:
        events: The journal's.
        size: That matched.
    """
    teacher: TeacherReady | None = None
    check: ConfirmChecked | None = None
    audits: dict[str | None, ModelAudited] = {}
    for event in events:
        match event:
            case TeacherReady():
                teacher = event
            case ConfirmChecked():
                check = event
            case ModelAudited():
                audits[event.size] = event
    if teacher is not None and not teacher.informative:
        yield "the teacher is not shown to be above guessing on dev"
    elif teacher is not None and not teacher.sensitive:
        yield insensitive_reason(Sensitivity(**teacher.sensitivity))
    if check is not None and not check.reliable:
        yield check.reason
    for name, audit in (("the teacher", audits.get(None)), (size, audits.get(size))):
        if audit is not None and audit.error:
            yield f"{name} could not be audited (resume --retry-failed repeats it): {audit.error}"
        elif audit is not None and (told := unread(audit)):
            yield f"{name} {told}"
    if (student := audits.get(size)) is not None:
        for shortcut in shortcuts_of(student.__dict__):
            yield f"on dev {size} {shortcut} ({shortcut_evidence(student, shortcut)})"


def unread(audit: ModelAudited) -> str:
    """Say that a model is not shown to need the question; empty if it is, or was not asked."""
    blanked = audit.blanked or {}
    domains: Mapping[str, Mapping[str, float]] = blanked.get("domains") or {"": blanked}
    told = [
        f"{_scores(figures)}{f' on {label}' if label else ''}"
        for label, figures in domains.items()
        if figures.get("reads", True) is False
    ]
    return f"is not shown to need the question on dev ({', '.join(told)})" if told else ""


def _scores(figures: Mapping[str, float]) -> str:
    return f"{figures['full_score']:.3f} with it, {figures['score']:.3f} without"


def not_looked_for(
    audits: Mapping[str | None, ModelAudited], matched: str, plan: Mapping[str, Any]
) -> Iterator[str]:
    """Say what was not looked for before a match was declared.

    Args:
        audits: By size; None is the teacher.
        matched: The size.
        plan: The run's; one of an older version does not say whether there were to be audits.
    """
    if not plan.get("audit", True):
        yield "shortcuts were not looked for, and no question was blanked: search.audit is false"
    for size in (None, matched):
        audit = audits.get(size)
        if audit is not None and audit.not_blanked:
            name = size or "the teacher"
            yield f"whether {name} needs the question was not looked at: {audit.not_blanked}"


def forced_warnings(
    teacher: TeacherReady | None, check: ConfirmChecked | None, *, trained: bool, tested: bool
) -> Iterator[str]:
    """Say what a search went on in spite of.

    Args:
        teacher: None before it is ready.
        check: None before confirm is read.
        trained: Whether students were trained.
        tested: Whether any was tested on confirm.
    """
    if trained and teacher is not None and not teacher.informative:
        yield (
            "the teacher is not shown to be above guessing on dev: a student that matches it may "
            "know nothing"
        )
    elif trained and teacher is not None and not teacher.sensitive:
        reason = insensitive_reason(Sensitivity(**teacher.sensitivity))
        yield f"the search went on by --force: {reason}"
    if tested and check is not None and not check.reliable:
        yield f"the search went on by --force: {check.reason}"
