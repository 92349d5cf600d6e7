"""Decides what is trained next, which size passes on dev, and which one confirm tests.

A state machine driven by events: a cluster, a plain loop and the simulator drive the same object.
Decisions depend on results by configuration index, never on the order of their arrival or on the
number of slots.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmOpened,
    ConfirmTested,
    Event,
    Record,
    SizeDecided,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStopped,
)
from kdsearch.search import sentences
from kdsearch.search.confirm import tested_event
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.futility import FUTILE, Watch
from kdsearch.search.power import items_needed
from kdsearch.search.route import Route
from kdsearch.search.rules import (
    FINISHED,
    WAIT,
    Confirm,
    Idle,
    Job,
    Outcome,
    Rules,
    SizeCost,
    SizeVerdict,
    Train,
    Verdict,
    trial_id,
)
from kdsearch.search.scaling import Seen, size_needed
from kdsearch.search.state import Ending, Result, SizeState
from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "FINISHED",
    "WAIT",
    "Confirm",
    "Idle",
    "Job",
    "Outcome",
    "Policy",
    "Rules",
    "SizeCost",
    "SizeVerdict",
    "Train",
    "Verdict",
    "confirm_event",
    "trial_id",
]


class Policy:
    """The state of one search.

    Args:
        sizes: In ascending order of parameters.
        rules: What a match is.
        fingerprint: A hash of the confirm items, for `ConfirmOpened`.
    """

    def __init__(self, sizes: Sequence[SizeCost], rules: Rules, fingerprint: str = "") -> None:
        if not sizes or len({size.name for size in sizes}) < len(sizes):
            raise ValueError("needs at least one size, each with a name of its own")
        self.sizes = tuple(sizes)
        whole = rules.strategy is Strategy.EXHAUSTIVE
        self.rules = replace(rules, futility=False) if whole else rules
        self.fingerprint = fingerprint
        self.tests: list[ConfirmTested] = []
        self._positions = {size.name: position for position, size in enumerate(sizes)}
        self._states = [SizeState(rules.configurations, self.rules.futility) for _ in sizes]
        self._trials: dict[str, tuple[int, int | None]] = {}
        for position, size in enumerate(sizes):
            for index in (None, *range(rules.configurations)):
                self._trials[trial_id(size.name, index, rules.seed)] = (position, index)
        self._route = Route(self.sizes, self.rules)
        self._reasons: dict[int, str] = {}
        self._confirm_out = False
        self._uninformative = False
        self._watch = Watch(rules)
        self._futile: dict[str, str] = {}

    def next_job(self) -> Job:
        """Return a job, marked as handed out, or say that there is none now or any more."""
        if self._uninformative:
            return FINISHED
        for position in self._route.visited:
            state = self._states[position]
            if not state.baseline_ended and None not in state.out:
                state.out.add(None)
                return self._train(position, None)
        for position in self._wanted():
            index = self._states[position].take(whole=self._whole)
            if index is not None:
                return self._train(position, index)
        awaiting = self._route.awaiting
        if awaiting is not None and not self._confirm_out:
            self._confirm_out = True
            return Confirm(self.sizes[awaiting].name, self._best_trial(awaiting) or "")
        return WAIT if self._working() else FINISHED

    def apply(self, event: Event) -> list[Event]:
        """Take in an event and return the decisions that newly follow from it.

        Events that decide nothing, such as the policy's own, are passed over.
        """
        match event:
            case TeacherReady():
                self._uninformative = not (event.informative or self.rules.force)
            case ConfirmTested():
                return self._apply_test(event)
            case TrialProgress():
                self._apply_progress(event)
            case TrialFinished() | TrialFailed() | TrialStopped():
                self._apply_ending(event)
        return self._decide()

    def stop_reason(self, trial: str) -> str | None:
        """Return why a running trial should stop, or None to let it run.

        Baselines of visited sizes run to their end: they inform every verdict.
        """
        position, index = self._place(trial)
        state = self._states[position]
        if index is None or self._whole:
            return None
        if state.decided:
            return f"decided: {self._reasons.get(position, 'the size is settled')}"
        if position not in self._route.visited and position not in self._wanted():
            return "not needed: the search went another way"
        return self._futile.get(trial)

    def restore(self, records: Sequence[Record]) -> list[Event]:
        """Replay a journal into a fresh policy.

        Unfinished jobs are handed out again, finished ones never.

        Returns:
            Decisions that follow but were not written before the run ended: to be appended.

        Raises:
            RunError: If a decision in the journal does not follow from what was journalled
                before it.
        """
        due: deque[Event] = deque()
        for record in records:
            if isinstance(record.event, SizeDecided | ConfirmOpened):
                expected = due.popleft() if due else None
                if expected is None or not _agree(record.event, expected):
                    raise _contradiction(record, expected)
            else:
                due.extend(self.apply(record.event))
        return list(due)

    def share(self, size: str) -> float:
        """Return the share of alpha that was declared for a size.

        Raises:
            RunError: If confirm was not opened for it.
        """
        position = self._positions.get(size)
        if position is None or position not in self._route.shares:
            raise RunError(f"confirm was not declared for size '{size}'")
        return self._route.shares[position]

    def verdicts(self) -> list[SizeVerdict]:
        """Return what is known of every size, in ascending order."""
        return [self._verdict(position) for position in range(len(self.sizes))]

    def outcome(self) -> Outcome:
        """Return what is known of the run; final once the job is `FINISHED`."""
        if self._uninformative:
            return Outcome.UNINFORMATIVE_TEACHER
        found = {verdict.verdict for verdict in self.verdicts()}
        if Verdict.MATCH in found:
            return Outcome.MATCH
        open_ends = {Verdict.UNDECIDED, Verdict.FAILED} & found
        return Outcome.UNDECIDED if open_ends or Verdict.NO_MATCH not in found else Outcome.NO_MATCH

    def sentence(self) -> str:
        """Answer in one sentence how small a student can be."""
        return sentences.answer(
            self.outcome(),
            self.verdicts(),
            self.tests,
            self.rules,
            sentences.Hints(
                more_items=self._items_that_decide(),
                parameters_needed=self._parameters_needed(),
                inverted=self._route.scanning,
            ),
        )

    def _items_that_decide(self) -> int | None:
        """Return the confirm items that would decide the last test, its rates being true."""
        if not self.tests or self.rules.margin is None:
            return None
        last = self.tests[-1]
        counts = last.student_only, last.teacher_only, last.items
        return items_needed(*counts, self.rules.margin, self.share(last.size or ""))

    def _parameters_needed(self) -> float | None:
        """Return where the trend over the failed sizes reaches the bar."""
        seen = []
        for position, finding in self._route.findings.items():
            parameters = self.sizes[position].parameters
            if finding.distance is not None and not finding.passed and parameters is not None:
                seen.append(Seen(parameters, finding.distance))
        return size_needed(seen)

    @property
    def _whole(self) -> bool:
        """Whether every configuration of every size is trained to its end."""
        return self.rules.strategy is Strategy.EXHAUSTIVE

    def _wanted(self) -> list[int]:
        """Return the sizes whose configurations may be handed out, the most urgent first."""
        if self._whole:
            return list(range(len(self.sizes)))
        focus = self._route.focus
        if focus is None:
            return []
        return [focus, *(self._route.ahead() if self.rules.speculate else [])]

    def _working(self) -> bool:
        """Whether something is still to be learnt."""
        if not self._route.answered:
            return True
        ended = all(self._states[position].baseline_ended for position in self._route.visited)
        return not ended or (self._whole and not all(state.complete for state in self._states))

    def _train(self, position: int, index: int | None) -> Train:
        name, seed = self.sizes[position].name, self.rules.seed
        return Train(trial_id(name, index, seed), name, index, seed)

    def _place(self, trial: str | None) -> tuple[int, int | None]:
        if trial not in self._trials:
            raise RunError(f"trial '{trial}' is not part of this search")
        return self._trials[trial]

    def _best_trial(self, position: int) -> str | None:
        index = self._states[position].best()
        if index is None:
            return None
        return trial_id(self.sizes[position].name, index, self.rules.seed)

    def _apply_ending(self, event: TrialFinished | TrialFailed | TrialStopped) -> None:
        position, index = self._place(event.trial)
        state = self._states[position]
        if index is None:
            state.out.discard(None)
            state.baseline_ended |= not isinstance(event, TrialStopped)
        elif isinstance(event, TrialFinished):
            answers = Answers(event.score, event.student_only, event.teacher_only, event.items)
            state.add(index, Result(Ending.FINISHED, weigh(answers, self.rules)))
        elif isinstance(event, TrialFailed):
            state.add(index, Result(Ending.FAILED))
        elif event.reason.startswith(FUTILE):
            state.add(index, Result(Ending.FUTILE))
        else:
            state.give_back(index)

    def _apply_progress(self, event: TrialProgress) -> None:
        if event.trial is None:  # the teacher's own training
            return
        position, index = self._place(event.trial)
        if index is None or not self.rules.futility or index in self._states[position].results:
            return
        forecast = self._watch.report(event)
        if forecast is not None:
            self._futile[event.trial or ""] = forecast.reason
            self._states[position].add(
                index, Result(Ending.FUTILE, forecast.evidence, forecast.expected)
            )

    def _decide(self) -> list[Event]:
        """Follow decided sizes until one is open, confirm is asked, or nothing is left."""
        decisions: list[Event] = []
        while (position := self._route.focus) is not None and self._states[position].decided:
            step = self._route.after_dev(self._states[position].finding())
            decisions.append(self._decision(position, step.then))
            if step.declared:
                decisions.append(self._opening(step.declared))
        return decisions

    def _opening(self, declared: Sequence[int]) -> ConfirmOpened:
        return ConfirmOpened(
            sizes=tuple(self.sizes[position].name for position in declared),
            alphas=tuple(self._route.shares[position] for position in declared),
            fingerprint=self.fingerprint,
        )

    def _decision(self, position: int, then: str) -> SizeDecided:
        state = self._states[position]
        name = self.sizes[position].name
        reason = sentences.dev_reason(name, state, then)
        self._reasons[position] = reason
        return SizeDecided(
            size=name,
            trial=self._best_trial(position),
            verdict=state.verdict(),
            decided_on="dev",
            reason=reason,
        )

    def _apply_test(self, event: ConfirmTested) -> list[Event]:
        position = self._positions.get(event.size or "")
        if position is None or position != self._route.awaiting:
            raise RunError(f"confirm was not asked to test size '{event.size}'")
        self.tests.append(event)
        self._confirm_out = False
        then = self._route.after_confirm(event.verdict == Verdict.MATCH)
        reason = sentences.confirm_reason(event, self.rules, then)
        self._reasons[position] = reason
        decision = SizeDecided(
            size=event.size,
            trial=event.trial,
            verdict=Verdict(event.verdict),
            decided_on="confirm",
            reason=reason,
        )
        return [decision, *self._decide()]

    def _verdict(self, position: int) -> SizeVerdict:
        name, state = self.sizes[position].name, self._states[position]
        reason, best = self._reasons.get(position, ""), self._best_trial(position)
        if position not in self._route.visited or self._uninformative:
            return SizeVerdict(name, Verdict.NOT_VISITED)
        decided_on: Literal["dev", "confirm"] | None = "dev" if state.decided else None
        verdict = state.verdict() if state.decided else Verdict.UNDECIDED
        for test in self.tests:
            if test.size == name:
                verdict, decided_on, best = Verdict(test.verdict), "confirm", test.trial
        return SizeVerdict(name, verdict, decided_on, best_trial=best, reason=reason)


def confirm_event(
    policy: Policy,
    size: str,
    student_right: Sequence[float],
    teacher_right: Sequence[float],
    flops: Mapping[str, float] | None = None,
) -> ConfirmTested:
    """Test a declared size on confirm, at its share of alpha.

    The bounds are one-sided at one minus that share, so that those of all sizes hold together.

    Args:
        policy: Has opened confirm.
        size: The size whose `Confirm` job was handed out.
        student_right: The student's score of each confirm item, 0 or 1 or graded.
        teacher_right: The teacher's, in the same order.
        flops: What answering confirm cost.
    """
    trial = next(verdict.best_trial for verdict in policy.verdicts() if verdict.size == size)
    alpha = policy.share(size)
    return tested_event(size, trial, student_right, teacher_right, policy.rules, alpha, flops or {})


def _agree(journalled: Event, expected: Event) -> bool:
    """Whether two decisions are the same, however they are worded."""
    if isinstance(journalled, SizeDecided) and isinstance(expected, SizeDecided):
        return replace(journalled, reason="") == replace(expected, reason="")
    return journalled == expected


def _contradiction(record: Record, expected: Event | None) -> RunError:
    return RunError(
        f"the journal's decision {record.sequence} ({_worded(record.event)}) does not follow from "
        f"its results, which give {_worded(expected)}",
        fix="the journal was changed, or was written under other rules: start a new run",
    )


def _worded(decision: Event | None) -> str:
    if isinstance(decision, SizeDecided):
        return f"{decision.size} {decision.verdict} on {decision.decided_on}"
    if isinstance(decision, ConfirmOpened):
        return f"confirm opened for {', '.join(decision.sizes)}"
    return "no decision"
