"""Intervals of scores: Wilson's, a bootstrap's, and those of items that come in units."""

from __future__ import annotations

import random
from statistics import fmean

import numpy
import pytest
from scipy import stats

from kdsearch.stats.intervals import bootstrap_interval, mean_interval
from kdsearch.stats.paired import wilson_interval


def test_right_and_wrong_answers_have_wilsons_interval() -> None:
    scores = [1.0] * 30 + [0.0] * 70
    found = mean_interval(scores, 0.95)
    assert found == (0.3, *wilson_interval(30, 100, 0.95))


def test_graded_scores_have_the_interval_of_scipys_bootstrap() -> None:
    generator = random.Random(1)
    scores = [generator.betavariate(2, 3) for _ in range(80)]
    expected = stats.bootstrap(
        (scores,),
        numpy.mean,
        n_resamples=4000,
        method="percentile",
        rng=numpy.random.default_rng(0),
    ).confidence_interval
    found = mean_interval(scores, 0.95)
    assert found[1:] == pytest.approx((expected.low, expected.high), abs=0.006)


def test_a_bootstrap_is_the_same_again_and_another_by_seed() -> None:
    scores = [0.0, 0.25, 0.5, 1.0] * 10
    assert mean_interval(scores, 0.95) == mean_interval(scores, 0.95)
    assert mean_interval(scores, 0.95) != mean_interval(scores, 0.95, seed=1)


def test_units_that_answer_alike_count_once() -> None:
    scores = [1.0, 1.0, 0.0, 0.0] * 50
    units = [place // 2 for place in range(200)]
    alone, together = mean_interval(scores, 0.95), mean_interval(scores, 0.95, units)
    assert together.score == alone.score == 0.5
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(2**0.5, rel=0.1)


@pytest.mark.parametrize("units", [None, [0, 0, 1, 1]])
def test_what_has_no_spread_is_not_certain(units: list[int] | None) -> None:
    found = mean_interval([1.0] * 4, 0.95, units)
    assert found.score == 1.0
    assert found.low < 0.75


def test_a_figure_of_one_unit_is_unknown() -> None:
    assert bootstrap_interval(len, 3, 0.95, ["a", "a", "a"])[1:] == (0.0, 1.0)


def test_a_figure_that_is_no_mean_is_resampled() -> None:
    scores = [place / 99 for place in range(100)]
    of_mean = bootstrap_interval(lambda chosen: fmean(scores[i] for i in chosen), 100, 0.9)
    assert of_mean == pytest.approx(mean_interval(scores, 0.9), abs=1e-12)
    assert bootstrap_interval(lambda chosen: float(max(chosen)), 100, 0.9).high == 99
