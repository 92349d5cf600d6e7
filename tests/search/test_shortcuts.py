from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.plugin.views import permutation
from kdsearch.search.rules import Rules
from kdsearch.search.shortcuts import Kept, histogram, one_answer, permuted_figures

RULES = Rules(margin=0.05, dev_items=400, confirm_items=9)
KEEP = Rules(margin=None, retain=0.9, dev_items=400, confirm_items=9)


@given(st.text(), st.integers(2, 26))
def test_every_option_moves_and_always_alike(identifier: str, options: int) -> None:
    places = permutation(identifier, options)
    assert sorted(places) == list(range(options))
    assert all(old != new for new, old in enumerate(places))
    assert places == permutation(identifier, options)


def test_options_move_by_every_distance() -> None:
    assert {permutation(str(at), 5)[0] for at in range(40)} == {1, 2, 3, 4}


def test_a_histogram_puts_answers_beside_the_right_ones() -> None:
    shares = histogram(["b", "b", "a"], ["a", "c", "a"])
    assert shares == [("b", 2, 0), ("a", 1, 2), ("c", 0, 1)]


def test_one_answer_where_the_questions_have_several() -> None:
    assert one_answer(0.95, 0.6)
    assert not one_answer(0.94, 0.6)
    assert not one_answer(1.0, 0.95)  # as it should


@pytest.mark.parametrize("rules", [RULES, KEEP])
@pytest.mark.parametrize(
    ("lost", "collapses"),
    [(0, False), (20, False), (40, False), (44, False), (100, True)],
)
def test_a_score_collapses_where_it_falls_by_more_than_the_margin_for_sure(
    rules: Rules, lost: int, collapses: bool
) -> None:
    before = [1.0] * 300 + [0.0] * 100
    after = [1.0] * (300 - lost) + [0.0] * (100 + lost - 20) + [1.0] * 20
    found = permuted_figures(after, before, Kept([True] * 9 + [False], [False] * 10), rules)
    assert found["collapses"] is collapses
    assert found["lower_bound"] < found["difference"] < found["upper_bound"]
    assert found["score"] == pytest.approx((320 - lost) / 400)
    assert (found["agreement"], found["by_place"]) == (0.9, False)


@pytest.mark.parametrize(
    ("place", "option", "by_place"),
    [(60, 40, True), (58, 42, False), (40, 60, False), (100, 0, True)],
)
def test_places_kept_more_often_than_options_by_an_exact_test(
    place: int, option: int, by_place: bool
) -> None:
    kept = Kept([False] * place + [True] * option, [True] * place + [False] * option)
    tail = sum(math.comb(100, count) for count in range(place, 101)) / 2**100
    assert kept.by_place == pytest.approx(tail)
    assert permuted_figures([0.0], [0.0], kept, RULES)["by_place"] is by_place
