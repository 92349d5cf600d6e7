from __future__ import annotations

from random import Random

import pytest

from kdsearch.inputs.near_duplicates import (
    THRESHOLD,
    DuplicateRule,
    NearDuplicates,
    near_copies,
)
from kdsearch.inputs.tally import repeat_warnings
from kdsearch.plugin import Answer, Example
from kdsearch.spec.models import Splits
from kdsearch.splits import divide

TWEET = "shares of the maker fell sharply in late trading after it cut its outlook for the year"
SUM = "a shop sold 12 red apples and then 7 green pears to a man who came in from the rain today"


def near(one: Example, other: Example, answer: Answer = Answer.TEXT) -> bool:
    found = NearDuplicates([one, other], DuplicateRule(answer)).among([one.id], [other.id])
    return bool(list(found))


def question(text: str, answer: str = "yes", name: str = "b") -> Example:
    return Example(name, text, answer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWEET, True),
        (f"{TWEET.upper()}! https://t.co/Ab1", True),
        (TWEET.replace("year", "quarter"), True),
        (" ".join(reversed(TWEET.split())), False),
        (TWEET.replace("maker fell sharply", "bank rose a little"), False),
        ("https://t.co/Ab1 ...", False),
    ],
)
def test_texts_that_differ_in_little_are_near(text: str, expected: bool) -> None:
    assert near(question(TWEET, name="a"), question(text)) is expected


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        ("19", Answer.NUMBER, False),
        ("19", Answer.TEXT, False),  # the answer is a number all the same
        ("apples", Answer.TEXT, True),
    ],
)
def test_other_numbers_are_another_question_where_a_number_is_asked_for(
    answer: str, kind: Answer, expected: bool
) -> None:
    first = question(SUM, answer, "a")
    assert near(first, question(SUM.replace("7", "9"), answer), kind) is expected
    assert near(first, question(SUM.replace("today", "tonight"), answer), kind)
    assert near(question(f"{SUM} 1,000", name="a"), question(f"{SUM}, 1000"), kind)


def test_options_count_unless_they_are_classes() -> None:
    asked = "which of the following is true"
    first, second = (
        Example(name, asked, 0, choices=(f"{word} is never seen by day", f"{word} sings"))
        for name, word in (("a", "the owl"), ("b", "a lark"))
    )
    assert not near(first, second, Answer.CHOICE)
    assert near(first, second, Answer.LABEL)


def test_hashing_misses_no_pair_and_invents_none() -> None:
    """Every pair of the exact similarity is found, in any order."""
    random = Random(0)
    words = [f"w{number}" for number in range(60)]
    texts = [[random.choice(words) for _ in range(24)] for _ in range(150)]
    for text in texts[:100]:
        texts.append([random.choice(words) if random.random() < 0.06 else word for word in text])
    examples = [Example(str(place), " ".join(text), "yes") for place, text in enumerate(texts)]
    held, others = (examples[:80], examples[80:])

    def shingles(text: str) -> set[str]:
        own = text.split()
        pieces = (own[at : at + n] for n in (1, 2, 3) for at in range(len(own) - n + 1))
        return {" ".join(piece) for piece in pieces}

    def similarity(one: Example, other: Example) -> float:
        own, theirs = shingles(one.question), shingles(other.question)
        return len(own & theirs) / len(own | theirs)

    expected = {e.id for e in others if max(similarity(e, o) for o in held) >= THRESHOLD}
    assert 10 < len(expected) < 100
    for seed in (0, 1):
        mixed = Random(seed).sample(examples, len(examples))
        finder = NearDuplicates(mixed, DuplicateRule())
        found = list(finder.among([e.id for e in others], [e.id for e in held]))
        assert {each.dropped for each in found} == expected
        assert all(each.similarity >= THRESHOLD for each in found)


def test_units_leave_whole_and_ids_may_be_shared() -> None:
    own = [
        Example("1", TWEET, "yes", unit="u"),
        Example("2", "something else", "yes", unit="u"),
        Example("3", "another thing", "yes"),
    ]
    other = Example("3", TWEET.replace("year", "quarter"), "yes")
    assert near_copies(own, [other], DuplicateRule()) == {"1", "2"}


def clustered(unit: str | None = None, count: int = 60) -> list[Example]:
    """Passages of 40 words, five questions each that differ in the last word."""
    return [
        Example(
            f"{c}.{k}", " ".join(f"w{c}x{n}" for n in range(40)) + f" last{k}", "yes",
            unit=unit and f"{unit}{c}",
        )
        for c in range(count)
        for k in range(5)
    ]  # fmt: skip


def test_repeats_within_a_split_are_counted_unless_they_are_of_one_unit() -> None:
    rule = DuplicateRule(generated=False)
    for unit, repeats in ((None, 300), ("passage", 0)):
        examples = clustered(unit)
        assert NearDuplicates(examples, rule).repeated([e.id for e in examples]) == repeats


def test_repeats_within_confirm_and_dev_are_told() -> None:
    asked = Splits.model_validate({"dev": 50, "confirm": 300, "near_duplicates": "keep"})
    tally = divide(clustered(count=80), asked, 0, rule=DuplicateRule(generated=False)).tally
    assert tally.confirm_repeats > 250
    told = [*repeat_warnings(tally.to_json(), {"confirm": 300, "dev": 50})]
    assert f"{tally.confirm_repeats} of 300 confirm items nearly repeat another one" in told[0]
    assert "50 dev items" in told[1]
    assert not [*repeat_warnings({"confirm_repeats": 2}, {"confirm": 300})]
    assert divide(clustered(count=80), asked, 0, rule=DuplicateRule()).tally.confirm_repeats == 0
