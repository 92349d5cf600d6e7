from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search.mistakes import Answered, Mistake, contrast, group_errors, telling
from kdsearch.search.rules import Rules

RULES = Rules(margin=0.05, dev_items=9, confirm_items=9)


NUMBERS = count()


def item(own: float, theirs: float, **fields: Any) -> Answered:
    said = {"student": f"s{own}", "teacher": f"t{theirs}", "id": str(next(NUMBERS)), **fields}
    return Answered(question="?", correct="x", student_score=own, teacher_score=theirs, **said)


@pytest.mark.parametrize(
    ("found", "mistake"),
    [
        (item(1, 1), Mistake.BOTH_RIGHT),
        (item(0, 1), Mistake.ONLY_TEACHER),
        (item(0.5, 0.4), Mistake.ONLY_STUDENT),
        (item(0, 0, student="In  Rome", teacher="in rome"), Mistake.SAME_WRONG),
        (item(0, 0, student="-5", teacher="5"), Mistake.OTHER_WRONG),
    ],
)
def test_how_two_answers_stand(found: Answered, mistake: Mistake) -> None:
    assert found.mistake is mistake


scores = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1)


@given(scores)
def test_the_table_adds_up(drawn: list[tuple[float, float]]) -> None:
    items = [item(*pair, student="a", teacher="a") for pair in drawn]
    found = contrast(items, RULES)
    assert sum(found[mistake.value] for mistake in Mistake) == found["items"] == len(drawn)
    wrong = sum(teacher == 0.0 for _, teacher in drawn)
    assert found["inherited"] == (found["same_wrong"] / wrong if wrong else None)
    assert len(telling(items)) == len(drawn) - found["both_right"]


def test_the_worst_group_is_one_that_is_large_enough() -> None:
    even = [item(1, 1, group="even") for _ in range(60)]
    lost = [item(at % 2, 1, group="lost", id=f"l{at}") for at in range(40)]
    small = [item(0, 1, group="small", id=f"s{at}") for at in range(3)]
    found = contrast([*even, *lost, *small], RULES)
    assert found["worst_group"] == "lost"
    groups = {group["group"]: group for group in found["groups"]}
    assert groups["small"]["lower_bound"] is None
    assert groups["lost"]["difference"] == -0.5
    assert groups["lost"]["lower_bound"] < -0.5 < groups["lost"]["upper_bound"] < -0.3
    alone = group_errors(lost, RULES)[0].lower_bound or 0.0
    assert groups["lost"]["lower_bound"] < alone  # the bounds of two groups hold together


def test_items_of_one_unit_count_once() -> None:
    items = [item(at % 2, 1, group="g", unit=f"u{at // 4}", id=f"i{at}") for at in range(40)]
    assert group_errors(items, RULES)[0].lower_bound is None


def test_what_was_lost_comes_first_and_then_the_surest() -> None:
    unsure, sure = (
        item(0, 1, id=name, confidence=share) for name, share in (("a", 0.4), ("b", 0.9))
    )
    ahead = item(1, 0, id="c", confidence=1.0)
    assert [found.id for found in telling([ahead, unsure, item(1, 1), sure])] == ["b", "a", "c"]
