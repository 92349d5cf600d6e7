"""Decides what is trained next, which size passes on dev, and which one confirm tests.

A state machine driven by events: a cluster, a plain loop and the simulator drive the same object.
Decisions depend on results by configuration index, never on the order of their arrival or on the
number of slots.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmChecked,
    ConfirmOpened,
    ConfirmTested,
    Event,
    Record,
    RunStarted,
    SizeDecided,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStopped,
)
from kdsearch.search import sentences
from kdsearch.search.agreement import first_opening, first_under_present_plan, replay
from kdsearch.search.futility import Watch
from kdsearch.search.refusals import Refusal, refusal_of
from kdsearch.search.replicas import Recipe, Replicas
from kdsearch.search.retests import Retests
from kdsearch.search.route import Route, Step
from kdsearch.search.rules import (
    FINISHED,
    WAIT,
    Confirm,
    Job,
    Outcome,
    Rules,
    SizeCost,
    SizeVerdict,
    Train,
    Verdict,
    outcome_of,
    undecided_on_confirm,
)
from kdsearch.search.state import Ending, Result, SizeState, result_of
from kdsearch.search.trial_names import TrialNames
from kdsearch.spec.models import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Policy:
    """The state of one search.

    Args:
        sizes: In ascending order of parameters.
        rules: What a match is.
        fingerprint: A hash of the confirm items, for `ConfirmOpened`.
        opening_alpha: Asked, when confirm is opened, for the chance of a false match that it may
            spend; that of the rules unless given.
    """

    def __init__(
        self,
        sizes: Sequence[SizeCost],
        rules: Rules,
        fingerprint: str = "",
        opening_alpha: Callable[[], float] | None = None,
    ) -> None:
        if not sizes or len({size.name for size in sizes}) < len(sizes):
            raise ValueError("needs at least one size, each with a name of its own")
        self.sizes = tuple(sizes)
        whole = rules.strategy is Strategy.EXHAUSTIVE
        self.rules = replace(rules, futility=False) if whole else rules
        self.fingerprint = fingerprint
        self.tests: list[ConfirmTested] = []
        self._positions = {size.name: position for position, size in enumerate(sizes)}
        give_up = self.rules.futility and not rules.sequential  # later ones learn from earlier ones
        self._states = [SizeState(rules.configurations, give_up, rules.sequential) for _ in sizes]
        self._trials = TrialNames([size.name for size in sizes], self.rules)
        self._replicas = Replicas([size.name for size in sizes], rules)
        self._earlier: dict[str, ConfirmTested] = {}
        self._exploratory = False
        self._opening_alpha = opening_alpha
        self._opened: ConfirmOpened | None = None
        self._route = Route(self.sizes, self.rules, self._alpha)
        self._looks = Retests([size.name for size in sizes])
        self._reasons: dict[int, str] = {}
        self._confirm_out = False
        self._refusal: Refusal | None = None
        self._watch = Watch(rules)
        self._futile: dict[str, str] = {}

    def next_job(self) -> Job:
        """Return a job, marked as handed out, or say that there is none now or any more."""
        if self._refusal is not None:
            return FINISHED
        for position in self._route.visited:
            state = self._states[position]
            if not state.baseline_ended and None not in state.out:
                state.out.add(None)
                return self._trials.job(position, None)
        for position in self._wanted():
            index = self._states[position].take(whole=self._whole)
            if index is not None:
                return self._trials.job(position, index)
        if (job := self._next_for_confirm()) is not None:
            return job
        return WAIT if self._working() else FINISHED

    def apply(self, event: Event) -> list[Event]:
        """Take in an event and return the decisions that newly follow from it.

        Events that decide nothing, such as the policy's own, are passed over. `ConfirmOpened` for a
        second look comes from outside: it adds items for sizes that are undecided.
        """
        later = self._looks.due is not None
        refusal = refusal_of(event, self.rules, later=later)
        if refusal is not None and later:
            self._looks.void(refusal.sentence)
            self._confirm_out = False
        else:
            self._refusal = self._refusal or refusal
        match event:
            case ConfirmOpened(look=look) if look > 1:
                self._looks.open(event)
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
        if self._refusal is not None:
            return f"not needed: {self._refusal.outcome.replace('_', ' ')}"
        if trial in self._replicas:
            return None
        position, index = self._trials.place(trial)
        state = self._states[position]
        if index is None or self._whole:
            return None
        if state.decided:
            return f"decided: {self._reasons.get(position, 'the size is settled')}"
        if position not in self._route.visited and position not in self._wanted():
            return "not needed: the search went another way"
        return self._futile.get(trial)

    def restore(
        self, records: Sequence[Record], *, changed: bool = False, retried: bool = False
    ) -> list[Event]:
        """Replay a journal into a fresh policy.

        Unfinished jobs are handed out again, finished ones never. Decisions of an earlier plan are
        made anew, and its tests stand; if it had opened confirm, further ones are exploratory.

        Args:
            records: The whole journal.
            changed: Whether the plan is about to change: more sizes, more configurations, or failed
                trials tried again.
            retried: Whether it is only the latter: further tests are exploratory if confirm was
                read, not if it was declared.

        Returns:
            Decisions that follow but were not written before the run ended: to be appended.

        Raises:
            RunError: If a decision in the journal does not follow from what was journalled
                before it.
        """
        present = len(records) if changed else first_under_present_plan(records)
        self._earlier = {
            record.event.size or "": record.event
            for record in records[:present]
            if isinstance(record.event, ConfirmTested)
        }
        self._looks.remember(
            [r.event for r in records[:present] if isinstance(r.event, ConfirmTested)]
        )
        begun = records[present].event if present < len(records) else None
        retried = retried or (isinstance(begun, RunStarted) and bool(begun.retried))
        marks = (ConfirmChecked, ConfirmTested) if retried else ConfirmOpened
        self._exploratory = any(isinstance(record.event, marks) for record in records[:present])
        openings = (record.event for record in records[present:] if first_opening(record.event))
        self._opened = next((event for event in openings if isinstance(event, ConfirmOpened)), None)
        return replay(records, present, self.apply)

    @property
    def exploratory(self) -> bool:
        """Whether further tests are no evidence: confirm was opened under a narrower plan."""
        return self._exploratory

    def share(self, size: str) -> float:
        """Return the share of alpha that was declared for a size.

        Raises:
            RunError: If confirm was not opened for it.
        """
        position = self._positions.get(size)
        if (retest := self._looks.due) is not None and retest.position == position:
            return retest.alpha
        if position is None or position not in self._route.shares:
            raise RunError(f"confirm was not declared for size '{size}'")
        return self._route.shares[position]

    def earlier_tests(self, size: str) -> list[ConfirmTested]:
        """Return the tests of a size on the items that it had before, the first one first."""
        return self._looks.tests_of(size)

    def undecided_on_confirm(self) -> list[str]:
        """Return the sizes whose verdict more confirm items may change, in ascending order."""
        return undecided_on_confirm(self.verdicts())

    def differences(self, size: str) -> Mapping[int, float | None]:
        """Return how each configuration of a size ended: None where it failed."""
        return self._states[self._positions[size]].differences

    def verdicts(self) -> list[SizeVerdict]:
        """Return what is known of every size, in ascending order."""
        return [self._verdict(position) for position in range(len(self.sizes))]

    def outcome(self) -> Outcome:
        """Return what is known of the run; final once the job is `FINISHED`."""
        if self._refusal is not None:
            return self._refusal.outcome
        return outcome_of(self.verdicts())

    def sentence(self) -> str:
        """Answer in one sentence how small a student can be."""
        if self._refusal is not None:
            return self._refusal.sentence
        hints = sentences.hints_of(self._route, self.sizes, self.tests, self.rules)
        tests = [*self._earlier.values(), *self.tests]
        answer = sentences.answer(self.outcome(), self.verdicts(), tests, self.rules, hints)
        return f"{answer}{self._looks.voided}"

    @property
    def more_items(self) -> int | None:
        """How many confirm items, added, would probably decide the size that was tested last."""
        undecided = self.outcome() is Outcome.UNDECIDED and self.undecided_on_confirm()
        known = undecided and not self.exploratory
        return sentences.more_items(self.tests[-1], self.rules) if known else None

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
        if not self._route.answered or self._looks.due is not None:
            return True
        ended = all(self._states[position].baseline_ended for position in self._route.visited)
        return not ended or (self._whole and not all(state.complete for state in self._states))

    def _best_trial(self, position: int) -> str | None:
        return self._trials.name(position, self._states[position].best())

    def _apply_ending(self, event: TrialFinished | TrialFailed | TrialStopped) -> None:
        if event.trial in self._replicas:
            self._replicas.end(event)
            return
        position, index = self._trials.place(event.trial)
        state = self._states[position]
        if index is None:
            state.out.discard(None)
            state.baseline_ended |= not isinstance(event, TrialStopped)
        elif (result := result_of(event, self.rules)) is None:
            state.give_back(index)
        else:
            state.add(index, result)

    def _apply_progress(self, event: TrialProgress) -> None:
        if event.trial is None or event.trial in self._replicas:  # the teacher's, or for confirm
            return
        position, index = self._trials.place(event.trial)
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
        while True:
            focus, awaiting = self._route.focus, self._route.awaiting
            if focus is not None and self._states[focus].decided:
                step = self._route.after_dev(self._states[focus].finding())
                state = self._states[focus]
                reason = sentences.dev_reason(self.sizes[focus].name, state, step.then)
                decisions.append(self._decided(focus, state.verdict(), "dev", reason))
                if step.declared:
                    decisions.append(self._opening(step))
            elif awaiting is not None and (known := self._known_test(awaiting)) is not None:
                decisions.append(self._take_test(known))
            elif awaiting is not None and self._untestable(awaiting):
                decisions.append(self._give_up_recipe(awaiting))
            else:
                return decisions

    @property
    def _awaiting(self) -> int | None:
        """The size that confirm is to test, at the first look or at a later one."""
        retest = self._looks.due
        return self._route.awaiting if retest is None else retest.position

    def _next_for_confirm(self) -> Job | None:
        """Return a seed to train for the test on confirm, then the test itself."""
        if (awaiting := self._awaiting) is None:
            return None
        recipe = self._recipe(awaiting)
        if recipe is not None and (seed := recipe.take()) is not None:
            return Train(recipe.trial(seed), recipe.size, recipe.index, seed)
        if self._confirm_out or (recipe is not None and not recipe.complete):
            return None
        self._confirm_out = True
        trials = () if recipe is None else recipe.trials
        look = 1 if self._looks.due is None else self._looks.due.look
        return Confirm(self.sizes[awaiting].name, self._best_trial(awaiting) or "", trials, look)

    def _recipe(self, position: int) -> Recipe | None:
        """Return the seeds that confirm tests of a size; None where it tests one checkpoint."""
        index = self._states[position].best()
        return self._replicas.recipe(self.sizes[position].name, index)

    def _known_test(self, position: int) -> ConfirmTested | None:
        """Return the test that an earlier plan made of the same trial: a size is tested once."""
        test = self._earlier.get(self.sizes[position].name)
        return test if test is not None and test.trial == self._best_trial(position) else None

    def _untestable(self, position: int) -> bool:
        recipe = self._recipe(position)
        return recipe is not None and recipe.complete and not recipe.testable

    def _give_up_recipe(self, position: int) -> SizeDecided:
        """Leave a size undecided whose seeds failed."""
        then = self._route.after_confirm(False)
        recipe = self._recipe(position)
        failed = len(recipe.failed) if recipe is not None else 0
        few = f"{failed} of its {self.rules.seeds} seeds failed (kdsearch resume --retry-failed)"
        reason = f"{self.sizes[position].name} is undecided: {few}; {then}"
        return self._decided(position, Verdict.UNDECIDED, "dev", reason)

    def _alpha(self) -> float:
        """Return what the opening of confirm may spend; what it spent, of a journal that says."""
        if self._opened is not None:
            known = self._opened.alpha
            return math.fsum(self._opened.alphas) if known is None else known
        return self.rules.opening_alpha if self._opening_alpha is None else self._opening_alpha()

    def _opening(self, step: Step) -> ConfirmOpened:
        return ConfirmOpened(
            sizes=tuple(self.sizes[position].name for position in step.declared),
            alphas=step.alphas,
            fingerprint=self.fingerprint,
            alpha=math.fsum(step.alphas),
        )

    def _decided(self, position: int, verdict: Verdict, on: str, reason: str) -> SizeDecided:
        self._reasons[position] = reason
        return SizeDecided(
            size=self.sizes[position].name,
            trial=self._best_trial(position),
            verdict=verdict,
            decided_on=on,
            reason=reason,
        )

    def _apply_test(self, event: ConfirmTested) -> list[Event]:
        position = self._positions.get(event.size or "")
        if position is None or position != self._awaiting or self._refusal is not None:
            raise RunError(f"confirm was not asked to test size '{event.size}'")
        return [self._take_test(event), *self._decide()]

    def _take_test(self, event: ConfirmTested) -> SizeDecided:
        self.tests = [test for test in self.tests if test.size != event.size] + [event]
        self._confirm_out = False
        again = self._looks.due is not None
        then = self._looks.after(event)
        if not again:
            then = self._route.after_confirm(event.verdict == Verdict.MATCH)
        reason = sentences.confirm_reason(event, self.rules, then)
        position = self._positions[event.size or ""]
        return self._decided(position, Verdict(event.verdict), "confirm", reason)

    def _verdict(self, position: int) -> SizeVerdict:
        name, state = self.sizes[position].name, self._states[position]
        reason = self._reasons.get(position, "")
        for test in self.tests:
            if test.size == name:
                return SizeVerdict.of(test, reason)
        if name in self._earlier:
            test = self._earlier[name]
            return SizeVerdict.of(test, sentences.confirm_reason(test, self.rules, "tested before"))
        refused = self._refusal is not None and self._refusal.before_training
        if position not in self._route.visited or refused:
            return SizeVerdict(name, Verdict.NOT_VISITED)
        best = self._best_trial(position)
        if not state.decided:
            return SizeVerdict(name, Verdict.UNDECIDED, best_trial=best)
        return SizeVerdict(name, state.verdict(), "dev", best_trial=best, reason=reason)
