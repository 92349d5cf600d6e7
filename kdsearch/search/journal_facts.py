"""What a journal says, sorted by what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.events import (
    AblationSkipped,
    ConfirmChecked,
    ConfirmOpened,
    ConfirmTested,
    Event,
    ModelAudited,
    RunFinished,
    RunStarted,
    SizeDecided,
    TeacherReady,
    TermAblated,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialRepaired,
    TrialStarted,
    TrialStopped,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Ending = TrialFinished | TrialStopped | TrialFailed


class JournalFacts:
    """The events of a journal by what they are about; the last word counts."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.plan: Mapping[str, Any] = {}
        self.teacher: TeacherReady | None = None
        self.finished: RunFinished | None = None
        self.opened: ConfirmOpened | None = None
        self.checked: ConfirmChecked | None = None
        self.started: dict[str, set[str]] = {}
        """By size; the teacher's own training is of none."""
        self.endings: dict[str, Ending] = {}
        self.repaired: list[TrialRepaired] = []
        self.decided: dict[str, SizeDecided] = {}
        self.tested: dict[str, ConfirmTested] = {}
        self.audits: dict[str | None, ModelAudited] = {}
        """By size; None is the teacher."""
        self.ablations: list[TermAblated | AblationSkipped] = []
        self.ablated: set[str] = set()
        """Trials that are no part of the search."""
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        size, trial = event.size or "", event.trial or ""
        if isinstance(event, TrialStarted | TrialProgress | Ending):
            self.started.setdefault(size, set()).add(trial)
        match event:
            case TrialStarted() if event.without is not None:
                self.ablated.add(trial)
            case TermAblated() | AblationSkipped():
                self.ablations.append(event)
            case RunStarted():
                self.plan, self.finished = event.plan, None
            case TeacherReady():
                self.teacher = event
            case TrialRepaired():
                self.repaired.append(event)
            case RunFinished():
                self.finished = event
            case ConfirmOpened(look=1):
                self.opened = event
            case ConfirmChecked():
                self.checked = event
            case SizeDecided():
                if size not in self.tested or event.decided_on == "confirm":
                    self.decided[size] = event
            case ConfirmTested():
                self.tested[size] = event
            case ModelAudited():
                self.audits[event.size] = event
            case TrialFinished() | TrialStopped() | TrialFailed():
                self.endings[trial] = event

    def finished_trial(self, trial: str | None) -> TrialFinished | None:
        """Return a trial that finished; None of any other."""
        ending = self.endings.get(trial or "")
        return ending if isinstance(ending, TrialFinished) else None

    def baseline(self, size: str) -> TrialFinished | None:
        """Return a size's trial without a teacher, if it finished."""
        for ending in self.endings.values():
            if isinstance(ending, TrialFinished) and ending.index is None and ending.size == size:
                return ending
        return None
