from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import DataError
from kdsearch.inputs.added_items import (
    added_path,
    new_items,
    read_added,
    split_name,
    write_added,
)
from kdsearch.inputs.near_duplicates import DuplicateRule
from kdsearch.plugin import Example

if TYPE_CHECKING:
    from pathlib import Path

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "near",
    "some",
    "old",
    "barn",
    "in",
    "winter",
]


def item(place: int, question: str = "", unit: str | None = None) -> Example:
    return Example(str(place), question or f"What is {place} times {place}?", "x", unit=unit)


def draw(loaded: list[Example], held: list[Example], wanted: int, **options: object) -> list[str]:
    asked = {"seed": 0, "look": 2, "domain": "toy", **options}
    return [example.id for example in new_items(loaded, held, wanted, **asked)]  # type: ignore[arg-type]  # plain keyword values


def test_what_the_run_asked_is_not_asked_again_under_another_id() -> None:
    held = [item(place) for place in range(5)]
    again = [Example("new", "what is 3 times 3", "x"), item(7)]
    assert draw([*held, *again], held, 1) == ["7"]


def test_other_data_may_number_items_alike() -> None:
    assert draw([item(1, "Something else?")], [item(1)], 1) == ["look2-1"]
    union = Example("left:1", "Something else?", "x")
    assert draw([union], [Example("left:1", "Known?", "x")], 1) == ["left:look2-1"]


def test_units_are_drawn_whole_and_never_one_that_is_known() -> None:
    held = [item(0, unit="a")]
    loaded = [item(1, unit="a"), *(item(place, unit="b") for place in range(2, 5))]
    assert sorted(draw(loaded, held, 1)) == ["2", "3", "4"]


def test_units_count_once() -> None:
    loaded = [item(place, unit=f"u{place // 3}") for place in range(12)]
    assert len(draw(loaded, [], 2)) == 6
    with pytest.raises(DataError, match=r"5 new confirm units .* there are 4"):
        draw(loaded, [], 5)


def test_near_duplicates_are_left_out_where_the_run_drops_them() -> None:
    held, near = [item(0, " ".join(WORDS))], item(1, " ".join([*WORDS[:-1], "summer"]))
    assert draw([near], held, 1) == ["1"]
    with pytest.raises(DataError, match="there are 0 that the run has not used"):
        draw([near], held, 1, rule=DuplicateRule())


def test_too_few_are_said_with_a_way_on() -> None:
    with pytest.raises(DataError, match=r"3 new confirm items .* there are 2 .*splits\.reserve"):
        draw([item(1), item(2)], [], 3)


def test_the_order_of_the_data_does_not_matter() -> None:
    loaded = [item(place) for place in range(50)]
    assert draw(loaded, [], 9) == draw(loaded[::-1], [], 9)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    examples = (Example("1", "a?", 1, choices=("x", "y"), unit="u"), Example("2", "b\ud800?", "z"))
    assert split_name(1) == "confirm"
    write_added(tmp_path, split_name(2), examples)
    assert read_added(tmp_path, "confirm-2") == examples


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"id": "b", "que', "malformed item: Unterminated"),
        ('{"id": "b"}', "malformed item: 'aliases'"),
        ('{"id": "b", "aliases": [], "choices": [], "other": 1}', "malformed item: .*other"),
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path: Path, line: str, fault: str) -> None:
    write_added(tmp_path, "confirm-2", [Example("a", "What?", "x")])
    path = added_path(tmp_path, "confirm-2")
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(DataError, match=rf"confirm-2\.jsonl:2: {fault}"):
        read_added(tmp_path, "confirm-2")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_added(tmp_path, "confirm-3")
