from __future__ import annotations

import pytest

from kdsearch.report import numbers


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0"),
        (850, "850"),
        (4_096, "4.1k"),
        (9_949, "9.9k"),
        (9_951, "10k"),
        (146_912, "147k"),
        (999_499, "999k"),
        (999_600, "1.0M"),
        (1_234_567, "1.2M"),
        (14_220_000, "14.2M"),
        (134_515_008, "135M"),
        (3_000_000_000, "3.0B"),
    ],
)
def test_parameters_keep_two_or_three_digits(count: int | None, text: str) -> None:
    assert numbers.parameters(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.0"), (-0.0004, "0.0"), (-0.034, "-3.4"), (0.0121, "+1.2")],
)
def test_points_carry_their_sign(value: float | None, text: str) -> None:
    assert numbers.points(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0%"), (0.0002, "0.1%"), (0.004, "0.4%"), (0.154, "15%"), (1, "100%")],
)
def test_a_small_share_is_not_nothing(value: float | None, text: str) -> None:
    assert numbers.percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "clock", "words"),
    [
        (-1.0, "00:00", "0 s"),
        (48.4, "00:48", "48 s"),
        (59.7, "00:59", "1 min 0 s"),
        (134.0, "02:14", "2 min 14 s"),
        (3_900.0, "1:05:00", "1 h 5 min"),
    ],
)
def test_times(seconds: float, clock: str, words: str) -> None:
    assert (numbers.clock(seconds), numbers.duration(seconds)) == (clock, words)


def test_flops_are_powers_of_ten() -> None:
    assert [numbers.flops(value) for value in (0, 3.14e14, 2e5)] == ["0", "3.1e14", "2.0e5"]


def test_the_last_line_of_a_traceback_is_the_error() -> None:
    assert numbers.last_line("Traceback\n  File x\nValueError: bad\n\n") == "ValueError: bad"
    assert numbers.last_line(" \n") == "no message"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "about 10 s"), (88.0, "about 90 s"), (245.0, "about 4 min"), (3_910, "about 1 h 5 min")],
)
def test_a_guess_pretends_no_precision(seconds: float, text: str) -> None:
    assert numbers.about(seconds) == text


def test_a_teacher_without_parameters_is_a_black_box() -> None:
    assert numbers.measure(146_912) == "147k parameters"
    assert numbers.measure(None) == "a black box"
