"""Checks that a domain's metric tells right answers from wrong ones, before anything is trained.

A metric that is always 1, or that ignores the right answer, would let every student match its
teacher. No model is needed: the answers are made from the examples.
"""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plugin.answers import last_number, normalized
from kdsearch.plugin.api import Answer, Prediction
from kdsearch.plugin.domain_calls import format_example, score_fault, score_predictions
from kdsearch.plugin.texts import plain, shortened
from kdsearch.plugin.union import Union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Domain, Example

SAMPLE = 200
"""Examples; `score` is called with them about ten times."""

ROUNDING = 1e-6
"""How far scores that should be equal may differ: batches of a neural metric do by about 1e-7."""

RIGHT_BY_CHANCE = 0.9
"""Of a metric of only 0 and 1: the share of answers to other questions that it may call right.
Those of tolerant metrics, such as within 1 % of a number, happen to be right too."""

APART = Decimal("0.1")
"""By what share of the larger one two numbers differ at least to be clearly different answers."""

NONSENSE = ("qxzjv", "wkfup", "bdymh")
"""Wrong to any question; the first is used in which no right answer stands."""

UNLIKELY = -1000.0
"""The log-likelihood of options that are not chosen: their probability is 0."""


def check_metric(
    domain: Domain,
    options: Any,
    examples: Sequence[Example],
    metric: str,
    *,
    scoring: str = "auto",
) -> None:
    """Refuse a metric by which wrong answers count as right, or that is not a function of them.

    Right answers score 1, wrong ones less; the score of an item depends neither on the others, nor
    on their order, nor on the call. Of several domains each is checked.

    Args:
        domain: The domain, or several as one.
        options: Its options.
        examples: With their right answers; a sample of them is used. Never those of confirm.
        metric: One of the domain's metrics.
        scoring: `evaluation.scoring` of the spec: how options are answered.

    Raises:
        PluginError: If `score` raises, is malformed or fails one of the checks.
    """
    if isinstance(domain, Union):
        unanswered = [Prediction(example.id, "") for example in examples]
        for label, places in domain.places(examples).items():
            member = domain.by_label[label]
            _, own = domain.own(label, places, unanswered, examples)
            check_metric(member.domain, member.options, own, metric, scoring=scoring)
        return
    generator = random.Random(0)
    sample = generator.sample(list(examples), min(SAMPLE, len(examples)))
    if sample:
        answers = _Answers(domain, options, sample, scoring)
        check = _Check(domain, metric, answers)
        check.repeated()
        check.rearranged(generator)
        check.right()
        check.wrong()


class _Answers:
    """Right and wrong answers to examples, in the form in which a model's would come."""

    def __init__(
        self, domain: Domain, options: Any, examples: Sequence[Example], scoring: str
    ) -> None:
        self.domain = domain
        self.options = options
        self.examples = examples
        self.scoring = getattr(domain, "scoring", "auto") if scoring == "auto" else scoring
        self.right = [self._given(example) for example in examples]
        self.keys = [self._key(prediction.text) for prediction in self.right]
        self.wrong = [self._mismatched(place) for place in range(len(examples))]

    def free(self, place: int) -> bool:
        """Whether a model's answer may be any text, and only some text is right."""
        return not self.right[place].scores and bool(self.right[place].text)

    def nonsense(self, place: int) -> Prediction:
        """Return an answer that is clearly wrong."""
        example = self.examples[place]
        known = self.keys[place]
        if self.domain.answer is Answer.NUMBER and isinstance(known, Decimal):
            return Prediction(example.id, f"{10 * abs(known) + 7:f}")
        golds = [text.casefold() for text in (self.right[place].text, *example.aliases)]
        words = [word for word in NONSENSE if not any(gold in word for gold in golds)]
        return Prediction(example.id, (words or NONSENSE)[0])

    def _given(self, example: Example) -> Prediction:
        """Return the answer that an example calls right; see `distill.scoring.choose`."""
        prompt = format_example(self.domain, example, self.options)
        target = prompt.target.strip()
        if not isinstance(example.answer, int):
            return Prediction(example.id, target)
        if self.scoring == "generate" or not prompt.choices:
            return Prediction(example.id, target, example.answer if prompt.choices else None)
        scores = [UNLIKELY] * len(prompt.choices)
        scores[example.answer : example.answer + 1] = [0.0]
        return Prediction(example.id, example.correct, example.answer, tuple(scores))

    def _mismatched(self, place: int) -> Prediction | None:
        """Return another option, or the right answer of another example; None if all agree."""
        example = self.examples[place]
        if isinstance(example.answer, int):
            known = {plain(text) for text in (example.correct, *example.aliases)}
            options = enumerate(example.choices)
            others = [option for option, text in options if plain(text) not in known]
            if not others:
                return None
            return self._given(replace(example, answer=others[place % len(others)]))
        golds = {self.keys[place], *map(self._key, (example.correct, *example.aliases))}
        count = len(self.examples)
        for other in (*range(place + 1, count), *range(place)):
            if all(_differ(self.keys[other], gold) for gold in golds):
                return Prediction(example.id, self.right[other].text)
        return None

    def _key(self, text: str) -> str | Decimal:
        """Return what two answers that say the same have in common."""
        number = last_number(text) if self.domain.answer is Answer.NUMBER else None
        return number if number is not None else normalized(text) or text.casefold()


def _differ(one: str | Decimal, other: str | Decimal) -> bool:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return abs(one - other) > APART * max(abs(one), abs(other))
    return one != other


class _Wrong(NamedTuple):
    """Wrong answers, each to the example at its place."""

    places: Sequence[int]
    predictions: Sequence[Prediction]


class _Check:
    """One metric against answers that are known to be right or wrong."""

    def __init__(self, domain: Domain, metric: str, answers: _Answers) -> None:
        self.domain = domain
        self.metric = metric
        self.answers = answers
        self.examples = answers.examples
        pairs = enumerate(zip(answers.right, answers.wrong, strict=True))
        self.mixed = [wrong if wrong and place % 2 else right for place, (right, wrong) in pairs]

    def repeated(self) -> None:
        """Score the same answers again."""
        first, again = self._scores(self.mixed), self._scores(self.mixed)
        for place, (one, other) in enumerate(zip(first, again, strict=True)):
            if not _equal(one, other):
                said = f"'{self.metric}' of item '{self.examples[place].id}' is {one:g}, then"
                raise score_fault(
                    self.domain,
                    f"gives other values when called again: {said} {other:g}",
                    "let the score depend on prediction and example alone, with a fixed seed",
                )

    def rearranged(self, generator: random.Random) -> None:
        """Score the same answers in other orders, then half of them alone."""
        count = len(self.mixed)
        usual = self._scores(self.mixed)
        shuffled = generator.sample(range(count), count)
        for order in ([*range(1, count), 0], shuffled):
            self._compare(usual, order, "the order of the items")
        self._compare(usual, range((count + 1) // 2), "which other items are scored with it")

    def _compare(self, usual: Sequence[float], order: Sequence[int], cause: str) -> None:
        predictions = [self.mixed[place] for place in order]
        examples = [self.examples[place] for place in order]
        scores = score_predictions(self.domain, predictions, examples).per_item[self.metric]
        for place, score in zip(order, scores, strict=True):
            if not _equal(usual[place], score):
                said = f"'{self.metric}' of item '{self.examples[place].id}'"
                raise score_fault(
                    self.domain,
                    f"depends on {cause}: {said} is {usual[place]:g}, or {score:g}",
                    "score each prediction against the example at its place, and nothing else",
                )

    def right(self) -> None:
        """Score the right answers."""
        right = self.answers.right
        scores = self._scores(right)
        missed = [place for place, score in enumerate(scores) if not _equal(score, 1.0)]
        if missed:
            place = missed[0]
            said = shortened(right[place].text)
            options = isinstance(self.examples[place].answer, int)
            raise score_fault(
                self.domain,
                f"gives '{self.metric}' {scores[place]:g} to the right answer {said} of item "
                f"'{self.examples[place].id}', and less than 1 to {len(missed)} of {len(right)} "
                "right answers",
                "compare prediction.choice with example.answer"
                if options
                else "a right answer is the target that format() gives, without whitespace around",
            )

    def wrong(self) -> None:
        """Score answers to other questions, nonsense, and no answer."""
        answers, places = self.answers, range(len(self.examples))
        free = [place for place in places if answers.free(place)]
        invented = _Wrong(free, [answers.nonsense(place) for place in free])
        empty = _Wrong(free, [replace(answer, text="") for answer in invented.predictions])
        swapped = _Wrong(
            [place for place in places if answers.wrong[place]], list(filter(None, answers.wrong))
        )
        if self._fooled(swapped, RIGHT_BY_CHANCE):
            tells = free and not self._fooled(invented)
            self._refuse("ignores the right answer, and gives" if tells else "gives", swapped)
        for wrong in (invented, empty):
            if self._fooled(wrong):
                self._refuse("gives", wrong)

    def _fooled(self, wrong: _Wrong, allowed: float = 1.0) -> bool:
        """Whether wrong answers are called right: all, or too many by a metric of 0 and 1."""
        scores = self._scores_at(*wrong)
        right = sum(_equal(score, 1.0) for score in scores)
        binary = all(score in (0.0, 1.0) for score in scores)
        return 0 < right == len(scores) or (binary and right > allowed * len(scores))

    def _refuse(self, fault: str, wrong: _Wrong) -> None:
        scores = self._scores_at(*wrong)
        right = [at for at, score in enumerate(scores) if _equal(score, 1.0)]
        example = self.examples[wrong.places[right[0]]]
        said = shortened(wrong.predictions[right[0]].text)
        raise score_fault(
            self.domain,
            f"{fault} '{self.metric}' 1.0 to wrong answers, {len(right)} of {len(scores)}, such as "
            f"{said} to item '{example.id}', where {shortened(example.correct)} is right",
            "compare each prediction with the answer of its own example",
        )

    def _scores(self, predictions: Sequence[Prediction]) -> Sequence[float]:
        return self._scores_at(range(len(self.examples)), predictions)

    def _scores_at(
        self, places: Sequence[int], predictions: Sequence[Prediction]
    ) -> Sequence[float]:
        examples = [self.examples[place] for place in places]
        return score_predictions(self.domain, predictions, examples).per_item[self.metric]


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING
