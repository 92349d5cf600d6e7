from __future__ import annotations

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import DataError, PluginError
from kdsearch.inputs.near_duplicates import DuplicateRule
from kdsearch.inputs.tally import Tally
from kdsearch.plugin import Answer, Example
from kdsearch.plugin.reading import Examples, Row
from kdsearch.spec.models import Splits
from kdsearch.splits import (
    Loaded,
    assign,
    divide,
    fingerprint,
    independent,
    load,
    units_of,
)
from kdsearch.stages import earlier_train

if TYPE_CHECKING:
    from collections.abc import Iterable


def items(count: int, split: str | None = None, unit: int | None = None) -> list[Example]:
    """Return examples, `unit` of them at a time in one unit."""
    prefix = split or "x"
    return [
        Example(
            id=f"{prefix}{number}",
            question=f"{prefix} {number}",
            answer="yes",
            split=split,
            unit=f"{prefix} unit {number // unit}" if unit else None,
        )
        for number in range(count)
    ]


def sizes(examples: list[Example], seed: int = 0, **splits: Any) -> tuple[int, int, int]:
    train, dev, confirm = assign(examples, Splits(**splits), seed)
    return len(train), len(dev), len(confirm)


examples = st.lists(st.integers(0, 5), min_size=12, max_size=60).map(
    lambda units: [
        Example(str(number), "?", "yes", unit=f"u{unit}" if unit else None)
        for number, unit in enumerate(units)
    ]
)


@given(examples=examples, seed=st.integers(0, 99), shuffle=st.integers(0, 99))
def test_splits_are_a_partition_of_whole_units_in_any_order(
    examples: list[Example], seed: int, shuffle: int
) -> None:
    try:
        assigned = assign(examples, Splits(dev=2, confirm=0.2), seed)
    except DataError:
        return  # large units may leave nothing for train
    assert sorted(example.id for split in assigned for example in split) == sorted(
        example.id for example in examples
    )
    units = [{example.unit for example in split} - {None} for split in assigned]
    assert sum(map(len, units)) == len(set.union(*units))
    shuffled = Random(shuffle).sample(examples, len(examples))
    assert assign(shuffled, Splits(dev=2, confirm=0.2), seed) == assigned


def test_the_seed_chooses_other_items() -> None:
    first, second = (assign(items(100), Splits(dev=20, confirm=20), seed) for seed in (0, 1))
    assert set(first.confirm) != set(second.confirm)


def test_confirm_does_not_change_with_dev() -> None:
    small, large = (assign(items(100), Splits(dev=dev, confirm=30), 0) for dev in (5, 50))
    assert small.confirm == large.confirm
    assert set(small.dev) < set(large.dev)


copied = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["train", "dev", "test"])),
    min_size=30,
    max_size=60,
).map(
    lambda drawn: [
        Example(str(at), f"item {number}", "yes", split=split)
        for at, (number, split) in enumerate(drawn)
    ]
)


@given(examples=copied, seed=st.integers(0, 9), shuffle=st.integers(0, 9), dev=st.integers(1, 5))
def test_each_question_is_asked_once_and_confirm_stays_as_it_is(
    examples: list[Example], seed: int, shuffle: int, dev: int
) -> None:
    try:
        small, tally, _ = divide(examples, Splits(dev=1, confirm=4), seed)
        large = assign(
            Random(shuffle).sample(examples, len(examples)), Splits(dev=dev, confirm=4), seed
        )
    except DataError:
        return  # too few questions are left
    asked = [example.question for split in small for example in split]
    assert len(asked) == len(set(asked)) == len({example.question for example in examples})
    assert tally == Tally(len(examples), len(examples) - len(asked), 0, 0)
    assert small.confirm == large.confirm
    assert small.dev == large.dev[:1]


def test_train_loses_to_dev_and_dev_to_confirm() -> None:
    said = [
        ("a", "train"),
        ("A!", "train"),
        ("a?", "dev"),
        ("b", "dev"),
        ("B", "test"),
        ("c", "train"),
    ]
    examples = [
        Example(str(at), text, "yes", split=split)
        for at, (text, split) in enumerate([*said, ("a", "other"), ("d", "other"), ("d", "train")])
    ]
    asked = Splits(train=TRAIN, dev=DEV, confirm=TEST)
    splits, tally, _ = divide(examples, asked, 0)
    assert [[example.id for example in split] for split in splits] == [["5", "8"], ["2"], ["4"]]
    assert tally == Tally(loaded=9, deduplicated=0, leaked=3, unused=2)


def test_what_a_domain_leaves_out_of_its_rows_is_counted_too() -> None:
    said = ["a", "b", "", "b", "B!", "c", "d", "a"]
    rows = [Row(f"q.csv:{at}", {"question": text}) for at, text in enumerate(said, start=1)]

    class Listed:
        name = "listed"
        answer = Answer.TEXT

        def load(self, options: None) -> Examples:
            def convert(row: Row) -> Example:
                return Example(row.text("question"), row.text("question"), "yes")

            return Examples(rows, convert, on_bad_row="skip", source="q.csv")

    domain: Any = Listed()
    splits, tally, _ = load(domain, None).divide(Splits(dev=1, confirm=1), 0)
    assert tally == Tally(loaded=8, deduplicated=3, leaked=0, unused=0, skipped=1)
    assert sum(map(len, splits)) == tally.loaded - tally.copies - tally.skipped


TRAIN, DEV, TEST = "official:train", "official:dev", "official:test"
OFFICIAL = items(100, "train") + items(20, "dev") + items(30, "test")


@pytest.mark.parametrize(
    ("examples", "splits", "counts"),
    [
        (items(100), {"dev": 10, "confirm": 20}, (70, 10, 20)),
        (items(100), {"dev": 0.29, "confirm": 0.3}, (41, 29, 30)),
        (items(100), {"dev": 10, "confirm": 20, "train": 5}, (5, 10, 20)),
        (items(100), {"dev": 10, "confirm": "rest", "train": 50}, (50, 10, 40)),
        (OFFICIAL, {"train": TRAIN, "dev": 0.15, "confirm": DEV}, (85, 15, 20)),
        (OFFICIAL, {"dev": DEV, "confirm": TEST}, (100, 20, 30)),
        (OFFICIAL, {"train": TRAIN, "dev": DEV, "confirm": "rest"}, (100, 20, 30)),
        (OFFICIAL, {"train": 10, "dev": DEV, "confirm": TEST}, (10, 20, 30)),
        (items(40, unit=4), {"dev": 10, "confirm": 9}, (16, 12, 12)),
    ],
)  # fmt: skip
def test_the_rules(
    examples: list[Example], splits: dict[str, Any], counts: tuple[int, int, int]
) -> None:
    assert sizes(examples, **splits) == counts


def test_an_official_split_is_taken_whole() -> None:
    assigned = assign(OFFICIAL, Splits(dev=7, confirm="official:test"), 3)
    assert {example.split for example in assigned.confirm} == {"test"}
    assert {example.split for example in assigned.train} == {"train", "dev"}


@pytest.mark.parametrize(
    ("examples", "splits", "message"),
    [
        (items(10), {"dev": 6, "confirm": 5}, "dev asks for 6 items, and 5 of 10 are left"),
        (items(10), {"dev": 6, "confirm": 11}, "confirm asks for 11 items, and 10 of 10 are left"),
        (items(10), {"dev": 5, "confirm": 5}, "train ends empty"),
        (items(10), {"dev": 0.01, "confirm": 5}, "dev ends empty: 0.01 of 10"),
        (OFFICIAL, {"confirm": "official:tets"}, "no official split 'tets': did you mean 'test'?"),
        (items(10), {"confirm": "official:dev"}, "no official split 'dev': none is available"),
        (
            [replace(example, unit="u") for example in OFFICIAL],
            {"confirm": "official:dev"},
            "unit 'u' lies in several splits: dev, test, train",
        ),
        ([], {}, "it has no examples"),
        (items(3) + items(1), {}, "example 'x0': another example has the same id"),
        ([Example("a", "?", 2, choices=("x", "y"))], {}, "its answer 2 is none of its 2 options"),
        ([Example("a", "?", -1, choices=("x", "y"))], {}, "an index from 0 to 1"),
        ([Example("a", "?", "x", choices=("x", "y"))], {}, "its answer 'x' is none of its 2"),
        ([Example("a", "?", 1)], {}, "is no text and it has no choices"),
    ],
)
def test_what_cannot_be_split_is_refused(
    examples: list[Example], splits: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        assign(examples, Splits(**splits), 0, domain="toy")
    assert str(caught.value).startswith("domain 'toy'")
    assert message in str(caught.value)


NO_TEXT: Any = 1


@pytest.mark.parametrize("yielded", [{"id": "a"}, None, Example(NO_TEXT, "?", "x")])
def test_what_is_no_example_is_the_plugins_fault(yielded: Any) -> None:
    with pytest.raises(PluginError, match=r"^domain 'toy': load yielded .* was expected") as caught:
        assign([yielded], Splits(), 0, domain="toy")
    assert "\n" not in str(caught.value)


def test_a_fingerprint_is_of_the_content() -> None:
    some = items(5)
    assert fingerprint(some) == fingerprint(reversed(some))
    assert fingerprint(some) != fingerprint(some[:4])
    assert fingerprint(some) != fingerprint([*some[:4], replace(some[4], answer="no")])


def test_units_are_named_only_where_items_share_one() -> None:
    alone = [Example("a", "?", "x"), Example("b", "?", "y", unit="u")]
    assert units_of(alone) == {}
    shared = [*alone, Example("c", "?", "z", unit="u")]
    assert units_of(shared) == {"a": "id a", "b": "unit u", "c": "unit u"}
    assert independent(shared) == [0, 1]


def posts(count: int, split: str | None = None, unit: str | None = None) -> list[Example]:
    """Return texts of twelve words, each nearly as the one before or after it."""
    found = []
    for number in range(count):
        words = [f"{number // 2}{letter}" for letter in "abcdefghijkl"]
        words[-1] += f"{number % 2}{split or ''}"
        name = f"{split or 'x'}{number}"
        found.append(Example(name, " ".join(words), "yes", split=split, unit=unit and name[:-1]))
    return found


ALL = posts(200)
POSTS = DuplicateRule(Answer.TEXT, generated=False)


def similar(first: Iterable[Example], second: Iterable[Example]) -> set[str]:
    known = {example.question.split()[0] for example in second}
    return {example.id for example in first if example.question.split()[0] in known}


@given(
    seed=st.integers(0, 9),
    shuffle=st.integers(0, 9),
    asked=st.sampled_from(
        [
            {"dev": 20, "confirm": 40},
            {"dev": 0.1, "confirm": 0.2, "train": 50},
            {"dev": 20, "confirm": "rest", "train": 50},
            {"dev": "rest", "confirm": 40, "train": 50},
        ]
    ),
)
def test_near_duplicates_leave_and_confirm_stays(
    seed: int, shuffle: int, asked: dict[str, Any]
) -> None:
    kept = assign(ALL, Splits(**asked, near_duplicates="keep"), seed, rule=POSTS)
    splits, tally, _ = divide(ALL, Splits(**asked), seed, rule=POSTS)
    train, dev, confirm = splits
    assert similar(kept.train, kept.confirm)
    assert not similar(train, confirm) | similar(dev, confirm) | similar(train, dev)
    assert confirm == kept.confirm
    if "rest" not in (asked["confirm"], asked["dev"]):
        assert len(dev) == len(kept.dev)
    assert tally.near_duplicates > 0
    assert tally.loaded == tally.near_duplicates + tally.unused + len(train + dev + confirm)
    mixed = Random(shuffle).sample(ALL, len(ALL))
    assert divide(mixed, Splits(**asked), seed, rule=POSTS)[:2] == (splits, tally)


def test_near_duplicates_of_official_splits_leave() -> None:
    test, dev, train = posts(6, "test"), posts(10, "dev")[4:], posts(20, "train")[8:]
    asked = Splits(train=TRAIN, dev=DEV, confirm=TEST)
    splits, tally, _ = divide([*train, *dev, *test], asked, 0, rule=POSTS)
    assert [len(split) for split in splits] == [10, 4, 6]
    assert tally.near_duplicates == 4
    near = tally.near_examples[0]
    assert (near.split, near.dropped[:3], near.kept[:4]) == ("confirm", "dev", "test")


def test_a_unit_leaves_whole() -> None:
    first, second = (Example(name, f"{name} alone", "yes", unit="u") for name in ("a", "b"))
    twin = replace(posts(1, "test")[0], id="twin", split="train", unit="u")
    twin = replace(twin, question=f"{twin.question[:-2]}z")
    others = [*posts(2, "test"), *posts(30, "train")[8:]]
    asked = Splits(train=TRAIN, dev=4, confirm=TEST)
    whole = [replace(first, split="train"), replace(second, split="train"), twin, *others]
    splits, tally, _ = divide(whole, asked, 0, rule=POSTS)
    left = {example.id for split in splits for example in split}
    assert not {"a", "b", "twin"} & left
    assert tally.near_duplicates >= 3


def test_near_duplicates_of_another_domain_and_of_the_last_stage_leave_train() -> None:
    one, other = (
        Loaded(name, tuple(examples), None, rule=POSTS)
        for name, examples in (("one", ALL[::2]), ("other", ALL[1::2]))
    )
    assert not other.divide(Splits(), 0).tally.near_duplicates
    splits, tally, _ = Loaded("both", (), None, (one, other)).divide(Splits(), 0)
    assert not similar(splits.train, [*splits.dev, *splits.confirm])
    assert tally.near_duplicates == 2 * len(other.examples) - tally.unused - sum(map(len, splits))
    kept = one.divide(Splits(), 0).splits
    stage = SimpleNamespace(splits=Splits(), domain=SimpleNamespace(name="other"), domains=())
    last = SimpleNamespace(domain=SimpleNamespace(name="one"), domains=())
    spec: Any = SimpleNamespace(stages=[stage], stage=last, search=SimpleNamespace(seed=0))
    found = earlier_train(spec, 0, SimpleNamespace(), kept, other)  # type: ignore[arg-type]
    assert not similar(found.train, [*kept.dev, *kept.confirm])
    assert found.left_out == 55 - len(found.train) > 0


def test_too_few_are_left_without_near_duplicates() -> None:
    asked = {"train": 20, "dev": 80, "confirm": 100}
    assert sizes(ALL, **asked) == (20, 80, 100)
    with pytest.raises(DataError, match=r"ask for fewer, or keep the \d+ near-duplicates"):
        assign(ALL, Splits(**asked), 0, rule=POSTS)


def test_a_reserve_is_in_no_split_and_changes_neither_dev_nor_confirm() -> None:
    known = items(100)
    plain = divide(known, Splits(dev=10, confirm=20), 0).splits
    divided = divide(known, Splits(dev=10, confirm=20, reserve=30), 0)
    assert divided.splits[1:] == plain[1:]
    assert len(divided.splits.train) == 40
    assert divided.tally.unused == 30
    assert len(divided.reserve) == 30
    assert not {e.id for e in divided.reserve} & {e.id for split in divided.splits for e in split}
    shares = divide(known, Splits(dev=10, confirm=20, reserve=0.25), 0)
    assert shares.tally.unused == 25


@pytest.mark.parametrize("reserve", [-1, 1.5])
def test_a_reserve_is_a_count_or_a_share(reserve: float) -> None:
    with pytest.raises(ValueError, match="reserve"):
        Splits(reserve=reserve)


def test_train_drops_what_nearly_repeats_the_reserve() -> None:
    known, splits = items(40), Splits(dev=4, confirm=4, reserve=4)
    words = "which of these posts about the market says that shares rose after the news of today"
    known = [replace(e, question=f"{words} {e.id} {e.id * 2} {e.id * 3}") for e in known]
    reserved = divide(known, splits, 0).reserve[0]
    twin = replace(reserved, id="twin", question=f"{reserved.question}!?")
    copies = divide([*known, twin], splits, 0, rule=DuplicateRule())
    assert "twin" not in {e.id for split in copies.splits for e in split}


def test_a_reserve_comes_from_where_confirm_does() -> None:
    with pytest.raises(ValueError, match="reserve is drawn as confirm is"):
        Splits(confirm="official:test", reserve=10)


def test_no_domain_trains_on_what_another_keeps_for_later() -> None:
    one, other = (
        Loaded(
            name,
            tuple(Example(f"{name}{n}", f"question {n} of a kind", "yes") for n in range(60)),
            None,
        )
        for name in ("one", "other")
    )
    asked = Splits(dev=10, confirm=10, reserve=20)
    divided = Loaded("both", (), None, (one, other)).divide(asked, 0)
    kept = {example.question for example in divided.reserve}
    assert len(divided.reserve) == 40
    assert not kept & {example.question for example in divided.splits.train}
