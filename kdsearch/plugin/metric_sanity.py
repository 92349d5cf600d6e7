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
    from collections.abc import Mapping, Sequence

    from kdsearch.plugin.api import Domain, Example

SAMPLE = 200
"""Examples; `score` is called with them about fifteen times, and once for each other option."""

ROUNDING = 1e-6
"""How far scores that should be equal may differ: batches of a neural metric do by about 1e-7."""

RIGHT_BY_CHANCE = 0.25
"""Of a metric of only 0 and 1: the share of answers to other questions that it may call right.
Those of tolerant metrics, such as within 1 % of a number, happen to be right too."""

OTHER_OPTIONS = 0.02
"""The share of other options, whose texts differ, that may score 1."""

ONE_OPTION = 0.5
"""The share of the questions to which the same other option may score 1."""

LEAST_ASKED = 3
"""Questions from which on that is looked at."""

GRADED = 0.75
"""The most that wrong answers may score on average, where there is more than 0 and 1: the neighbour
on a scale of five is less than 1 and may be much."""

APART = Decimal("0.1")
"""By what share of the larger one two numbers differ at least to be clearly different answers."""

NONSENSE = ("qxzjv", "wkfup", "bdymh")
"""Wrong to any question; the first is used in which no right answer stands."""

INVENTED: dict[int | str, float] = {1: 0.1, 30: 0.1, 300: 0.1, "?! ...": 0.1, "0": 0.5}
"""Wrong answers to questions with an answer in words: so many words that are none, or a text; and
the share of each that may be right. 0 is near enough to many a small number."""

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
        self.others = [self._other_options(example) for example in examples]
        self.wrong = [self._mismatched(place) for place in range(len(examples))]

    def free(self, place: int) -> bool:
        """Whether a model's answer may be any text, and only some text is right."""
        return not self.right[place].scores and bool(self.right[place].text)

    def nonsense(self, place: int, kind: int | str = 1) -> Prediction | None:
        """Return an answer that is clearly wrong; None where one of this kind may be right.

        Args:
            place: Of the example.
            kind: A text, or of how many words.
        """
        example = self.examples[place]
        known = self.keys[place]
        if isinstance(kind, str):
            wrong = all(_differ(self._key(kind), gold) for gold in self._golds(place))
            return Prediction(example.id, kind) if wrong else None
        if kind == 1 and self.domain.answer is Answer.NUMBER and isinstance(known, Decimal):
            return Prediction(example.id, f"{10 * abs(known) + 7:f}")
        golds = [text.casefold() for text in (self.right[place].text, *example.aliases)]
        words = [word for word in NONSENSE if not any(gold in word for gold in golds)]
        if kind > 1 and not words:
            return None
        words = words or [*NONSENSE]
        return Prediction(example.id, " ".join(words[at % len(words)] for at in range(kind)))

    def _golds(self, place: int) -> set[str | Decimal]:
        example = self.examples[place]
        return {self.keys[place], *map(self._key, (example.correct, *example.aliases))}

    def _other_options(self, example: Example) -> list[Prediction]:
        """Return every other option whose text is another one."""
        if not isinstance(example.answer, int):
            return []
        known = {plain(text) for text in (example.correct, *example.aliases)}
        others = [at for at, text in enumerate(example.choices) if plain(text) not in known]
        return [self._given(replace(example, answer=other)) for other in others]

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
        example, golds = self.examples[place], self._golds(place)
        if others := self.others[place]:
            return others[place % len(others)]
        if isinstance(example.answer, int):
            return None
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

    @classmethod
    def of(cls, answers: Mapping[int, Prediction | None]) -> _Wrong:
        """Return those answers that are there, by the places of their examples."""
        found = {place: answer for place, answer in answers.items() if answer is not None}
        return cls([*found], [*found.values()])


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
        """Score other options, answers to other questions, nonsense, and no answer."""
        answers, places = self.answers, range(len(self.examples))
        self._other_options()
        free = [place for place in places if answers.free(place)]
        invented = {
            kind: _Wrong.of({place: answers.nonsense(place, kind) for place in free})
            for kind in INVENTED
        }
        empty = _Wrong(free, [Prediction(self.examples[place].id, "") for place in free])
        texts = [place for place in places if not answers.others[place]]
        swapped = _Wrong.of({place: answers.wrong[place] for place in texts})
        if self._fooled(swapped, RIGHT_BY_CHANCE):
            tells = free and not self._fooled(invented[1], 1.0)
            self._refuse("ignores the right answer, and gives" if tells else "gives", swapped)
        for kind, wrong in invented.items():
            if self._fooled(wrong, INVENTED[kind]):
                self._refuse("gives", wrong)
            self._check_graded(self._scores_at(*wrong), "nonsense")
        if self._fooled(empty, INVENTED[1]):
            self._refuse("gives", empty)

    def _other_options(self) -> None:
        """Score every other option, one of each example at a time."""
        others, scores = self.answers.others, list[float]()
        right: list[_Wrong] = []
        of_option: dict[int, list[float]] = {}
        for turn in range(max(map(len, others), default=0)):
            wrong = _Wrong.of(
                {p: own[(p + turn) % len(own)] for p, own in enumerate(others) if turn < len(own)}
            )
            found = self._scores_at(*wrong)
            scores += found
            right += [wrong] if any(_equal(score, 1.0) for score in found) else []
            for prediction, score in zip(wrong.predictions, found, strict=True):
                if prediction.choice is not None:
                    of_option.setdefault(prediction.choice, []).append(score)
        if sum(_equal(score, 1.0) for score in scores) > OTHER_OPTIONS * len(scores):
            self._refuse("gives", right[0])
        self._check_graded(scores, "wrong options")
        for choice, own in of_option.items():
            called = sum(_equal(score, 1.0) for score in own)
            if len(own) >= LEAST_ASKED and called > ONE_OPTION * len(own):
                raise score_fault(
                    self.domain,
                    f"gives '{self.metric}' 1.0 to option {choice} where another one is right, "
                    f"{called} of {len(own)} times",
                    "compare prediction.choice with example.answer",
                )

    def _check_graded(self, scores: Sequence[float], what: str) -> None:
        """Refuse a metric by which what is wrong scores nearly as much as what is right."""
        if sum(scores) > GRADED * len(scores):
            raise score_fault(
                self.domain,
                f"gives '{self.metric}' {sum(scores) / len(scores):.2f} on average to {what}",
                "let a wrong answer score 0, or much less than the right one",
            )

    def _fooled(self, wrong: _Wrong, allowed: float) -> bool:
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
