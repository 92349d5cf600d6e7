from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdsearch.stats.chance import chance_test, guessing_p_value, mcnemar_p_value


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_equals_the_exact_sign_test(first: int, second: int) -> None:
    expected = (
        stats.binomtest(first, first + second, alternative="greater").pvalue
        if first + second
        else 1.0
    )
    assert mcnemar_p_value(first, second) == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_guessing_is_binomial_at_the_mean_chance() -> None:
    expected = stats.binomtest(40, 100, 0.25, alternative="greater").pvalue
    assert guessing_p_value(40, [4] * 100) == pytest.approx(expected, rel=1e-9)


def test_a_teacher_at_chance_is_uninformative() -> None:
    teacher = [1.0] * 59 + [0.0] * 195  # AQuA-RAT's study teacher: 23.23 % of 254 with five options
    test = chance_test(teacher, [0.0] * 200 + [1.0] * 54, [5] * 254)
    assert not test.informative
    assert test.figures().keys() == {"majority_score", "uniform_score", "p_value"}


def test_a_teacher_must_beat_both_kinds_of_guessing() -> None:
    teacher, majority = [1.0] * 60 + [0.0] * 40, [1.0] * 58 + [0.0] * 42
    assert chance_test(teacher, None, [4] * 100).informative
    assert not chance_test(teacher, majority, [4] * 100).informative


def test_free_text_has_nothing_to_compare_with() -> None:
    assert chance_test([0.0, 1.0]) == (None, None, None, None, True)
