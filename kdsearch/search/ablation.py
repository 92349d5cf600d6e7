"""Which students are trained again without a term of their objective, and what that shows.

Once the search has ended, its student is trained anew without each term to ablate: same size,
configuration and seeds. Both answer dev, never confirm, which decides on sizes and is read for
nothing else. Dev has chosen the configuration with the term in it, so it favours the term a little.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import (
    AblationSkipped,
    TermAblated,
    TrialFailed,
    TrialFinished,
    TrialStarted,
    TrialStopped,
)
from kdsearch.search.rules import FINISHED, WAIT, Idle, Train, trial_id
from kdsearch.stats.bounded import bounded_mean_test, paired_limits
from kdsearch.stats.paired import PairedTest, tango_test
from kdsearch.stats.seeds import SMALLEST_SEEDS, recipe_test
from kdsearch.stats.spread import unit_means

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from kdsearch.events import Event, Record
    from kdsearch.search.rules import Rules, SizeVerdict


class Comparison(NamedTuple):
    """A term whose trials have all ended, to be compared on dev."""

    size: str
    term: str
    pairs: tuple[tuple[str, str], ...]
    """A seed each: the trial with the term and the one without."""


class Ablations:
    """The ablations of a run, driven by its events.

    Args:
        terms: What is left out, one at a time.
        rules: The seeds, and the confidence that the bounds of all terms share.
    """

    def __init__(self, terms: Sequence[str], rules: Rules) -> None:
        self.terms = tuple(terms)
        self._seeds = rules.fresh_seeds
        self._confidence = 1.0 - rules.alpha / max(1, len(self.terms))
        self._owned: set[str] = set()
        self._out: set[str] = set()
        self._failed: dict[str, str] = {}
        self._finished: dict[str, TrialFinished] = {}
        self._done: set[tuple[str | None, str]] = set()

    def __contains__(self, trial: object) -> bool:
        return trial in self._owned

    def apply(self, event: Event) -> None:
        """Take in an event of the run."""
        trial = event.trial or ""
        match event:
            case TrialStarted() if event.without is not None:
                self._owned.add(trial)
            case TrialFinished():
                self._finished[trial] = event
            case TrialFailed():
                self._failed[trial] = event.error
            case TermAblated() | AblationSkipped():
                self._done.add((event.trial, event.term))
        if isinstance(event, TrialFinished | TrialFailed | TrialStopped):
            self._out.discard(trial)

    def next(
        self, verdicts: Sequence[SizeVerdict], settings: Callable[[str, int], Mapping[str, Any]]
    ) -> Train | Comparison | AblationSkipped | Idle:
        """Return what is to be done next, or that it waits or has ended.

        Args:
            verdicts: Of every size, the search being over.
            settings: By size and index, what a trial of the search trained with.
        """
        chosen = self._chosen(verdicts)
        trial = chosen.trial if chosen else None
        waiting = False
        for term in self.terms:
            if (trial, term) in self._done:
                continue
            if chosen is None or chosen.size is None or chosen.index is None:
                return AblationSkipped(term=term, reason="no distilled student was trained")
            reason = _inseparable(term, settings(chosen.size, chosen.index))
            step = reason or self._step(chosen.size, chosen.index, term)
            if isinstance(step, Idle):
                waiting = True
            elif isinstance(step, Train | Comparison):
                return step
            else:
                return AblationSkipped(size=chosen.size, trial=trial, term=term, reason=step)
        return WAIT if waiting else FINISHED

    def compare(
        self,
        comparison: Comparison,
        scores: Sequence[tuple[Sequence[float], Sequence[float]]],
        units: Sequence[Hashable] | None = None,
    ) -> TermAblated:
        """Compare the two students of each seed on dev.

        The bounds are one-sided and hold together for all terms of the run.

        Args:
            comparison: What is compared.
            scores: For each pair the score of every item, with the term and without.
            units: The unit of each item, where items of one unit are not independent.
        """
        if units is not None:
            scores = [(unit_means(one, units), unit_means(other, units)) for one, other in scores]
        test = _test(scores, self._confidence, counted=units is None)
        own, other = scores[0]
        with_term, without = (_mean([pair[side] for pair in scores]) for side in (0, 1))
        return TermAblated(
            size=comparison.size,
            trial=comparison.pairs[0][0],
            term=comparison.term,
            without=tuple(pair[1] for pair in comparison.pairs[: len(scores)]),
            score=with_term,
            score_without=without,
            difference=with_term - without,
            lower_bound=test.lower_bound,
            upper_bound=test.upper_bound,
            p_value=test.p_value,
            with_only=sum(one > two for one, two in zip(own, other, strict=True)),
            without_only=sum(one < two for one, two in zip(own, other, strict=True)),
            items=len(own),
        )

    def _chosen(self, verdicts: Sequence[SizeVerdict]) -> TrialFinished | None:
        """Return the trial of the smallest match, else the distilled one with the best score."""
        for verdict in verdicts:
            if verdict.proves_a_match:
                return self._finished.get(verdict.best_trial or "")
        best = (self._finished.get(verdict.best_trial or "") for verdict in verdicts)
        trained = [trial for trial in best if trial is not None]
        return max(trained, key=lambda trial: trial.score, default=None)

    def _step(self, size: str, index: int, term: str) -> Train | Comparison | Idle | str:
        """Return a seed to train, all that is to be compared, or why nothing can be."""
        pairs = list[tuple[str, str]]()
        waiting = False
        for seed in self._seeds:
            whole, without = trial_id(size, index, seed), ablated_id(size, index, term, seed)
            if whole not in self._finished:
                continue
            if without in self._finished:
                pairs.append((whole, without))
            elif without in self._out:
                waiting = True
            elif without not in self._failed:
                self._owned.add(without)
                self._out.add(without)
                return Train(without, size, index, seed, without=term)
        if waiting:
            return WAIT
        if not pairs:
            error = self._failed[ablated_id(size, index, term, self._seeds[0])]
            return f"its trial failed: {error}"
        usable = pairs if len(pairs) >= SMALLEST_SEEDS else pairs[:1]
        return Comparison(size, term, tuple(usable))


def ablated_id(size: str, index: int, term: str, seed: int) -> str:
    """Return the id of a trial without a term, such as `6M-c0-without-hidden_mse-s0`."""
    return f"{size}-c{index}-without-{term}-s{seed}"


def ablated_trials(records: Sequence[Record]) -> frozenset[str]:
    """Return the trials of a journal that only ablate: they are no part of the search."""
    return frozenset(
        record.event.trial or ""
        for record in records
        if isinstance(record.event, TrialStarted) and record.event.without is not None
    )


def without_term(settings: Mapping[str, Any], term: str) -> dict[str, Any]:
    """Return what a trial trains with, one term left out."""
    losses = {name: options for name, options in settings["losses"].items() if name != term}
    return {**settings, "losses": losses}


def _inseparable(term: str, settings: Mapping[str, Any]) -> str | None:
    """Say why a term cannot be left out of a configuration, or None."""
    losses = settings["losses"]
    if not losses[term]["weight"]:
        return "its weight is 0 in the chosen configuration"
    if not any(options["weight"] for name, options in losses.items() if name != term):
        return "the chosen configuration has no other term"
    return None


def _test(
    scores: Sequence[tuple[Sequence[float], Sequence[float]]], confidence: float, *, counted: bool
) -> PairedTest:
    """Test by what fits the scores whether the term helps: the difference is above zero."""
    own, other = scores[0]
    right = counted and all(score in (0.0, 1.0) for score in (*own, *other))
    if len(scores) == 1 and right:
        pairs = list(zip(own, other, strict=True))
        b, c = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
        return tango_test(b, c, len(pairs), 0.0, confidence)
    values = [[a - b for a, b in zip(one, two, strict=True)] for one, two in scores]
    if len(values) == 1:
        return bounded_mean_test(values[0], paired_limits(None), 0.0, confidence)
    return recipe_test(values, paired_limits(None), 0.0, confidence)


def _mean(scores: Sequence[Sequence[float]]) -> float:
    return math.fsum(map(math.fsum, scores)) / sum(map(len, scores))
