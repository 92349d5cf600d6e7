from __future__ import annotations

import re
from copy import deepcopy
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import RunError
from kdsearch.events import Record, TrialProgress
from kdsearch.report import page
from kdsearch.report.page import render
from kdsearch.report.plots import curves, losses_svg, scores_svg

if TYPE_CHECKING:
    from kdsearch.report.rows import Summary


def progress(place: int, step: int, loss: float, trial: str | None = "28k-c0-s0") -> Record:
    told = TrialProgress(trial=trial, step=step, total_steps=9, losses={"loss": loss})
    return Record(place, float(place), told)


def test_the_page_says_what_the_table_says(summary: Summary, records: list[Record]) -> None:
    text = render(summary, records)
    assert summary["sentence"] in unescape(text)
    for words in ("28,416", "no match on dev", "19k-c0-s0", "ValueError: loss is not finite"):
        assert words in text


def test_the_page_asks_for_nothing_from_elsewhere(summary: Summary, records: list[Record]) -> None:
    text = render(summary, records)
    assert not re.search(r"<(?:script|link|img|iframe)|(?:src|href)=\"(?!#)", text)


def test_text_of_a_run_is_escaped(summary: Summary) -> None:
    hostile = deepcopy(dict(summary)) | {"sentence": "<script>alert(1)</script>"}
    assert "<script>" not in render(hostile, [])


def test_a_run_without_students_has_no_pictures(summary: Summary) -> None:
    nothing: dict[str, Any] = deepcopy(dict(summary))
    for size in nothing["sizes"]:
        size |= {"dev": None, "confirm": None, "baseline": None, "verdict": "not_visited"}
    assert "<svg" not in render(nothing, [])


@pytest.mark.parametrize(
    ("again", "steps", "losses"), [(1, [1, 4], [3.1, 2.5]), (3, [1, 3, 4], [3.0, 3.1, 2.5])]
)
def test_a_trial_that_goes_on_from_before_is_drawn_from_there(
    again: int, steps: list[int], losses: list[float]
) -> None:
    told = [progress(0, 1, 3.0), progress(1, 5, 2.0), progress(2, again, 3.1), progress(3, 4, 2.5)]
    assert curves(told) == [("28k-c0-s0", steps, losses)]


def test_a_curve_needs_two_reports_and_the_teacher_has_one() -> None:
    told = [progress(0, 1, 3.0), progress(1, 1, 3.0, None), progress(2, 2, 2.0, None)]
    assert [curve.trial for curve in curves(told)] == ["teacher"]


def test_the_same_run_gives_the_same_picture(summary: Summary) -> None:
    assert scores_svg(summary) == scores_svg(summary)
    assert scores_svg(summary).startswith("<svg")


def test_losses_below_zero_are_drawn_too() -> None:
    assert "<svg" in losses_svg(curves([progress(0, 1, 1.0), progress(1, 2, -0.5)]))


def test_without_the_extra_it_says_what_to_install(
    summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"jinja2 and matplotlib.*kdsearch-llm\[report\]"):
        render(summary, [])
