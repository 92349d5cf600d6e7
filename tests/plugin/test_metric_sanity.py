"""Metrics that lie are refused before anything is trained; those that do not pass."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from kdsearch.errors import PluginError
from kdsearch.plugin import Answer, Example, Options, Prediction, Prompt, Scores
from kdsearch.plugin.answers import last_number, number_scores, token_f1
from kdsearch.plugin.choices import choice_scores
from kdsearch.plugin.metric_sanity import check_metric
from kdsearch.plugin.union import Member, Union

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kdsearch.plugin import Domain

    Score = Callable[[Sequence[Prediction], Sequence[Example]], Scores]

CHOICES = ("even", "odd")
OPTIONS = [Example(str(number), "?", number % 2, choices=CHOICES) for number in range(20)]
NUMBERS = [Example(str(number), "?", str(number)) for number in range(20)]
TEXTS = [Example(word, "?", word, aliases=(f"a {word}",)) for word in ("pear", "fig", "plum")]
ALIKE = [Example(str(number), "?", "pear") for number in range(5)]


@dataclass
class Scored:
    """A domain that scores by a function."""

    score: Score
    answer: Answer = Answer.TEXT
    scoring: str = "auto"
    name: str = "mine"
    version: str = "1"
    metrics: tuple[str, ...] = ("accuracy",)
    aggregates: tuple[str, ...] = ()

    def format(self, example: Example, options: Any) -> Prompt:
        if isinstance(example.answer, int):
            names = tuple("ABC"[at : at + 1] or str(at) for at in range(len(example.choices)))
            return Prompt(names[example.answer], "?", choices=names)
        return Prompt(f" {example.answer}", "?")


def each(score: Callable[[Prediction, Example], float]) -> Score:
    """Return the `score` that judges each prediction by itself."""
    return lambda predictions, examples: Scores(
        {"accuracy": [float(score(*pair)) for pair in zip(predictions, examples, strict=True)]}
    )


def by_place(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
    return Scores({"accuracy": [float(place % 2 == 0) for place in range(len(examples))]})


def by_neighbours(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
    right = choice_scores(predictions, examples).per_item["accuracy"]
    return Scores({"accuracy": [value / (1.0 + sum(right)) for value in right]})


def check(
    score: Score,
    examples: Sequence[Example],
    scoring: str = "auto",
    answer: Answer = Answer.TEXT,
    own: str = "auto",
) -> None:
    domain = cast("Domain", Scored(score, answer, own))
    check_metric(domain, None, examples, "accuracy", scoring=scoring)


@pytest.mark.parametrize(
    ("score", "examples", "told"),
    [
        (each(lambda p, e: 1.0), OPTIONS, "gives 'accuracy' 1.0 to wrong answers, 20 of 20"),
        (each(lambda p, e: 1.0), TEXTS, "gives 'accuracy' 1.0 to wrong answers, 3 of 3, such as"),
        (each(lambda p, e: 1.0), ALIKE, "gives 'accuracy' 1.0 to wrong answers, 5 of 5, such as"),
        (each(lambda p, e: p.text.isdigit()), NUMBERS, "ignores the right answer, and gives"),
        (each(lambda p, e: p.text in str(e.answer)), TEXTS, "such as '' to item '"),
        (
            each(lambda p, e: p.text == e.answer or e.answer != "11"),
            NUMBERS,
            "ignores the right answer, and gives 'accuracy' 1.0 to wrong answers, 19 of 20",
        ),
        (each(lambda p, e: 0.0), TEXTS, "to the right answer '.*less than 1 to 3 of 3 right"),
        (
            each(lambda p, e: p.text == "AB"[int(e.answer)]),
            OPTIONS,
            "to the right answer 'even' of .* 20 of 20 .*compare prediction.choice with",
        ),
        (by_place, NUMBERS, "depends on the order of the items: 'accuracy' of item"),
        (by_place, TEXTS, "depends on the order of the items: 'accuracy' of item"),
        (by_neighbours, OPTIONS, "depends on which other items are scored with it"),
        (each(lambda p, e: random.random()), NUMBERS, "gives other values when called again"),
        (each(lambda p, e: float(p.text) == 1), NUMBERS[1:2], "raised ValueError: could not conv"),
        (each(lambda p, e: 100.0), NUMBERS, "divide by 100"),
    ],
)
def test_a_metric_that_lies_is_refused(
    score: Score, examples: Sequence[Example], told: str
) -> None:
    with pytest.raises(PluginError, match=rf"domain 'mine': score\(\) .*{told}"):
        check(score, examples)


@pytest.mark.parametrize("examples", [OPTIONS, OPTIONS[:1]])
@pytest.mark.parametrize("scoring", ["auto", "options", "generate"])
def test_options_pass_however_they_are_answered(examples: list[Example], scoring: str) -> None:
    check(choice_scores, examples, scoring, answer=Answer.CHOICE)


def test_what_is_generated_is_scored_as_text() -> None:
    """A domain may say so too; the letters of its prompt are then what is answered."""
    by_letter = each(lambda p, e: p.text == "AB"[int(e.answer)])
    check(by_letter, OPTIONS, "generate")
    check(by_letter, OPTIONS, scoring="auto", own="generate")


@pytest.mark.parametrize(
    ("score", "examples", "answer"),
    [
        (each(lambda p, e: p.scores[int(e.answer)] > -1), OPTIONS, Answer.CHOICE),
        (choice_scores, [Example("1", "?", 0, choices=("only",))], Answer.CHOICE),
        (number_scores, NUMBERS, Answer.NUMBER),
        (number_scores, [*NUMBERS[:1]] * 3, Answer.NUMBER),
        (each(lambda p, e: token_f1(p.text, [str(e.answer), *e.aliases])), TEXTS, Answer.TEXT),
        (each(lambda p, e: p.text in (e.answer, *e.aliases)), TEXTS, Answer.TEXT),
        (each(lambda p, e: str(e.answer) in p.text), [*ALIKE, *NUMBERS], Answer.TEXT),
        (each(lambda p, e: p.text == e.answer), ALIKE, Answer.TEXT),
        (each(lambda p, e: 1.0 - 1e-7 * (p.text == e.answer)), [], Answer.TEXT),
        (each(lambda p, e: (1.0 - 1e-7) * (p.text == e.answer)), TEXTS, Answer.TEXT),
    ],
)
def test_an_honest_metric_passes(score: Score, examples: list[Example], answer: Answer) -> None:
    check(score, examples, answer=answer)


@pytest.mark.parametrize(
    "examples",
    [
        [Example("1", "?", "UK", ("Britain",)), Example("2", "?", "Britain", ("UK",))],
        [Example("1", "?", 0, ("Britain",), choices=("UK", "Britain"))],
    ],
)
def test_an_alias_is_no_wrong_answer(examples: list[Example]) -> None:
    check(each(lambda p, e: p.text in (e.correct, *e.aliases)), examples)


def test_a_number_within_the_tolerance_is_no_wrong_answer() -> None:
    near = [Example(text, "?", text) for text in ("100", "100.5")]
    check(
        each(lambda p, e: abs(float(last_number(p.text) or 0) / float(e.answer) - 1) < 0.01),
        near,
        answer=Answer.NUMBER,
    )


def test_each_of_several_domains_is_checked() -> None:
    honest = Scored(choice_scores, Answer.CHOICE, name="honest")
    always = Scored(each(lambda p, e: 1.0), Answer.CHOICE, name="always")
    members = [Member(each.name, cast("Domain", each), Options()) for each in (honest, always)]
    examples = [
        Example(f"{label}:{number}", "?", number % 2, choices=CHOICES)
        for label in ("honest", "always")
        for number in range(20)
    ]
    both = Union(tuple(members))
    check_metric(both, None, examples[:20], "accuracy")
    with pytest.raises(
        PluginError, match=r"domain 'always': score.* gives 'accuracy' 1.0 to wrong"
    ):
        check_metric(both, None, examples, "accuracy")


def test_two_hundred_examples_at_most_are_scored() -> None:
    seen: list[int] = []

    def score(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        seen.append(len(examples))
        return choice_scores(predictions, examples)

    check(score, [Example(str(n), "?", n % 2, choices=CHOICES) for n in range(1000)])
    assert max(seen) == 200


FOUR = [Example(str(n), f"q {n}", n % 4, choices=("a", "b", "c", "d")) for n in range(300)]
MANY = [
    Example(str(n), "?", n % 77, choices=tuple(f"class {c}" for c in range(77))) for n in range(200)
]
TAILED = [Example(str(n), f"q {n}", f"answer{n % 50} tail") for n in range(300)]
DIGITS = [Example(str(n), "?", str(n)) for n in range(300)]


def chosen(prediction: Prediction, example: Example) -> bool:
    return prediction.choice == example.answer


@pytest.mark.parametrize(
    ("score", "examples"),
    [
        (lambda p, e: chosen(p, e) or int(e.id) % 2, FOUR),
        (lambda p, e: chosen(p, e) or p.choice == 0, FOUR),
        (lambda p, e: chosen(p, e) or p.choice == 0, MANY),
        (lambda p, e: abs(int(p.choice or 0) - int(e.answer)) <= 1, FOUR),
        (lambda p, e: 1.0 if chosen(p, e) else 0.9, FOUR),
        (lambda p, e: p.text == e.answer or int(e.id) % 2, TAILED),
        (lambda p, e: p.text == e.answer or len(p.text) > 25, TAILED),
        (lambda p, e: p.text == e.answer or len(p.text) > 500, TAILED),
        (lambda p, e: 1.0 if p.text == e.answer else 0.9, TAILED),
        (lambda p, e: p.text in (e.answer, "0"), DIGITS),
    ],
)
def test_a_metric_that_lies_at_times_is_refused(
    score: Callable[[Prediction, Example], float], examples: list[Example]
) -> None:
    with pytest.raises(PluginError, match=r"score\(\) .*gives 'accuracy'"):
        check(each(score), examples)


def test_an_ordinal_scale_passes() -> None:
    graded = each(lambda p, e: 1.0 - abs(int(p.choice or 0) - int(e.answer)) / 4)
    scale = tuple("abcde")
    check(graded, [Example(str(n), "?", (1, 2, 3)[n % 3], choices=scale) for n in range(99)])
