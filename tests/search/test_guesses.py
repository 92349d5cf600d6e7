from __future__ import annotations

from kdsearch.plugin import Example
from kdsearch.search.guesses import guesses_of


def test_a_teacher_is_compared_with_guessing_on_one_item_of_each_unit() -> None:
    dev = [Example(str(at), "?", at % 2, choices=("a", "b"), unit=f"u{at // 2}") for at in range(6)]
    guesses = guesses_of(dev[:1], dev)
    assert guesses.items == [0, 2, 4]
    assert (guesses.majority_right, guesses.choices) == ([1.0] * 3, [2] * 3)


def test_the_majority_is_that_of_train() -> None:
    def answering(*answers: int) -> list[Example]:
        return [Example(str(at), "?", it, choices=("a", "b")) for at, it in enumerate(answers)]

    assert guesses_of(answering(0, 0, 1), answering(1, 1, 0)).majority_right == [0.0, 0.0, 1.0]


def test_each_domain_is_guessed_by_its_own_answers() -> None:
    def asked(label: str, *answers: int) -> list[Example]:
        names = (f"{label}:{place}" for place in range(len(answers)))
        pairs = zip(names, answers, strict=True)
        return [Example(name, "?", it, choices=("a", "b")) for name, it in pairs]

    train = [*asked("one", 0, 0, 0, 0), *asked("two", 1, 1, 0)]
    found = guesses_of(train, [*asked("one", 0, 1), *asked("two", 1, 1)], ["one", "two"]).domains
    assert [list(each.majority_right) for each in found.values()] == [[1.0, 0.0], [1.0, 1.0]]
    assert [each.items for each in found.values()] == [[0, 1], [2, 3]]
