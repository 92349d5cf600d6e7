"""What ends a search without a comparison: a teacher, margin or data that would make it void."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.events import ConfirmChecked, Event, TeacherReady
from kdsearch.search.rules import Outcome
from kdsearch.search.sensitivity import Sensitivity, insensitive_reason, sensitive_setting

if TYPE_CHECKING:
    from kdsearch.search.rules import Rules


class Refusal(NamedTuple):
    """Why no size is compared."""

    outcome: Outcome
    sentence: str

    @property
    def before_training(self) -> bool:
        """Whether no student has been trained."""
        return self.outcome is not Outcome.UNRELIABLE_DATA


def refusal_of(event: Event, rules: Rules, *, later: bool = False) -> Refusal | None:
    """Return why an event ends the search; None if it does not, or `rules.force` goes on.

    Args:
        event: Of the run.
        rules: Whether it was forced, and what a match is.
        later: Whether confirm was opened again, with items added.
    """
    if rules.force:
        return None
    if isinstance(event, TeacherReady) and not event.informative:
        return Refusal(
            Outcome.UNINFORMATIVE_TEACHER,
            "The teacher is not above guessing on dev, so there is nothing to match.",
        )
    if isinstance(event, TeacherReady) and not event.sensitive:
        found = Sensitivity(**event.sensitivity)
        return Refusal(
            Outcome.INSENSITIVE_MARGIN,
            f"Insensitive margin: {insensitive_reason(found)}; {sensitive_setting(found, rules)}, "
            "or go on by --force.",
        )
    if isinstance(event, ConfirmChecked) and not event.reliable:
        return Refusal(
            Outcome.UNRELIABLE_DATA,
            f"Unreliable data: {event.reason}; no student was tested{' on them' if later else ''}. "
            "Check the labels of confirm (splits.confirm), and that dev and confirm ask the same "
            "kind of question, or go on by --force.",
        )
    return None
