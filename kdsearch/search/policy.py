"""Decides what is trained next, which size passes on dev, and which one confirm tests.

A state machine driven by events: a cluster, a plain loop and the simulator drive the same object.
Decisions depend on results by configuration index, never on the order of their arrival or on the
number of slots.
"""

from __future__ import annotations

from collections import deque
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
    TrialStopped,
)
from kdsearch.search import sentences
from kdsearch.search.confirm import tested_event
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.order import VisitCost, next_size
from kdsearch.search.power import items_needed
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
from kdsearch.search.state import Ending, Result, SizeState
from kdsearch.search.statistics import alpha_shares

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

TRIALS_TO_PASS = 1.5
"""Configurations that a passing size trains on average, where there are several to choose from."""

TRIALS_TO_FAIL = 0.5
"""Share of a failing size's training that futility leaves."""


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
        self.rules = rules
        self.fingerprint = fingerprint
        self.tests: list[ConfirmTested] = []
        self._positions = {size.name: position for position, size in enumerate(sizes)}
        self._states = [SizeState(rules.configurations) for _ in sizes]
        self._trials: dict[str, tuple[int, int | None]] = {}
        for position, size in enumerate(sizes):
            for index in (None, *range(rules.configurations)):
                self._trials[trial_id(size.name, index, rules.seed)] = (position, index)
        self._costs = [self._visit_cost(size) for size in sizes]
        self._visited: list[int] = []
        self._reasons: dict[int, str] = {}
        self._shares: dict[int, float] = {}
        self._awaiting: int | None = None
        self._confirm_out = False
        self._uninformative = False
        self._focus: int | None = None
        self._visit(next_size(rules.strategy, self._costs, [], []))

    def next_job(self) -> Job:
        """Return a job, marked as handed out, or say that there is none now or any more."""
        if self._uninformative:
            return FINISHED
        for position in self._visited:
            state = self._states[position]
            if not state.baseline_ended and None not in state.out:
                state.out.add(None)
                return self._train(position, None)
        if self._focus is not None:
            index = self._states[self._focus].take()
            if index is not None:
                return self._train(self._focus, index)
        elif self._awaiting is not None and not self._confirm_out:
            self._confirm_out = True
            return Confirm(self.sizes[self._awaiting].name, self._best_trial(self._awaiting) or "")
        return FINISHED if self._answered() and not self._baselines_out() else WAIT

    def apply(self, event: Event) -> list[Event]:
        """Take in an event and return the decisions that newly follow from it.

        Events that decide nothing, such as the policy's own, are passed over.
        """
        match event:
            case TeacherReady():
                self._uninformative = not (event.informative or self.rules.force)
            case ConfirmTested():
                return self._apply_test(event)
            case TrialFinished() | TrialFailed() | TrialStopped():
                self._apply_ending(event)
        return self._decide()

    def stop_reason(self, trial: str) -> str | None:
        """Return why a running trial should stop, or None to let it run.

        Baselines of visited sizes run to their end: they inform every verdict.
        """
        position, index = self._place(trial)
        state = self._states[position]
        if index is not None and state.decided:
            return f"decided: {self._reasons.get(position, 'the size is settled')}"
        return None

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
                if record.event != expected:
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
        if position is None or position not in self._shares:
            raise RunError(f"confirm was not declared for size '{size}'")
        return self._shares[position]

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
        more = None
        if self.tests and self.rules.margin is not None:
            last = self.tests[-1]
            more = items_needed(
                last.student_only,
                last.teacher_only,
                last.items,
                self.rules.margin,
                self.share(last.size or ""),
            )
        return sentences.answer(self.outcome(), self.verdicts(), self.tests, self.rules, more)

    def _visit_cost(self, size: SizeCost) -> VisitCost:
        count = self.rules.configurations
        failing = count * (TRIALS_TO_FAIL if self.rules.futility else 1.0)
        return VisitCost(
            size.flops * (1.0 + min(count, TRIALS_TO_PASS)), size.flops * (1.0 + failing)
        )

    def _train(self, position: int, index: int | None) -> Train:
        name, seed = self.sizes[position].name, self.rules.seed
        return Train(trial_id(name, index, seed), name, index, seed)

    def _place(self, trial: str | None) -> tuple[int, int | None]:
        if trial not in self._trials:
            raise RunError(f"trial '{trial}' is not part of this search")
        return self._trials[trial]

    def _visit(self, position: int | None) -> None:
        self._focus = position
        if position is not None and position not in self._visited:
            self._visited.append(position)

    def _answered(self) -> bool:
        return self._focus is None and self._awaiting is None

    def _baselines_out(self) -> bool:
        return any(not self._states[position].baseline_ended for position in self._visited)

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
        else:
            state.give_back(index)

    def _decide(self) -> list[Event]:
        """Follow decided sizes until one is open, confirm is asked, or nothing is left."""
        decisions: list[Event] = []
        while self._focus is not None and self._states[self._focus].decided:
            position = self._focus
            opened, then = self._go_on(position)
            decisions += [self._decision(position, then), *opened]
        return decisions

    def _go_on(self, position: int) -> tuple[list[Event], str]:
        """Choose what follows a size that dev has decided."""
        passed = self._passed(position)
        if self._shares:
            if not passed:
                return [], self._climb(position)
            self._focus, self._awaiting = None, position
            return [], "confirm tests it"
        winners = [place for place in self._visited if self._passed(place)]
        losers = [place for place in self._visited if not self._passed(place)]
        following = next_size(self.rules.strategy, self._costs, winners, losers)
        self._visit(following)
        if following is not None:
            return [], f"next {self.sizes[following].name}"
        if not winners:
            return [], "no size is left to try"
        return [self._open_confirm(min(winners))], f"confirm tests {self.sizes[min(winners)].name}"

    def _open_confirm(self, candidate: int) -> ConfirmOpened:
        declared = range(candidate, len(self.sizes))
        alphas = alpha_shares(len(declared), self.rules.alpha)
        self._shares = dict(zip(declared, alphas, strict=True))
        self._awaiting = candidate
        names = tuple(self.sizes[position].name for position in declared)
        return ConfirmOpened(sizes=names, alphas=alphas, fingerprint=self.fingerprint)

    def _climb(self, position: int) -> str:
        """Turn to the next larger size that may still be confirmed."""
        self._focus = self._awaiting = None
        for larger in range(position + 1, len(self.sizes)):
            if larger not in self._visited:
                self._visit(larger)
                return f"next {self.sizes[larger].name}"
            if self._passed(larger):
                self._awaiting = larger
                return f"confirm tests {self.sizes[larger].name}"
        return "no larger size is left"

    def _passed(self, position: int) -> bool:
        return self._states[position].winner is not None

    def _decision(self, position: int, then: str) -> SizeDecided:
        state = self._states[position]
        index = state.best()
        evidence = None if index is None else state.results[index].evidence
        name, passed = self.sizes[position].name, self._passed(position)
        reason = sentences.dev_reason(name, index, evidence, passed, then)
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
        if position is None or position != self._awaiting:
            raise RunError(f"confirm was not asked to test size '{event.size}'")
        self.tests.append(event)
        self._awaiting, self._confirm_out = None, False
        matched = event.verdict == Verdict.MATCH
        then = "the search is over" if matched else self._climb(position)
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
        if position not in self._visited or self._uninformative:
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


def _contradiction(record: Record, expected: Event | None) -> RunError:
    found = f"{record.event.name} of size {record.event.size}"
    wanted = "no decision" if expected is None else f"{expected.name} of size {expected.size}"
    return RunError(
        f"the journal's decision {record.sequence} ({found}) does not follow from its results, "
        f"which give {wanted}",
        fix="the journal was changed, or was written under other rules: start a new run",
    )
