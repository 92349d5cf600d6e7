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


def audit(score: float, permuted: float | None, given: int) -> dict[str, Any]:
    """Return one model's audit on 100 items; half are answered by the second of two options."""
    changed = {"score": permuted, "agreement": 0.41, "collapses": True}
    return {
        "items": 100,
        "score": score,
        "aggregates": {"macro_f1": 0.4},
        "aggregate_intervals": {"macro_f1": [0.35, 0.45]},
        "histogram": [["option 1", given, 50], ["option 2", 100 - given, 50]],
        "most_frequent": {"answer": "option 1", "share": given / 100, "gold_share": 0.5},
        "permuted": None if permuted is None else changed,
        "not_permuted": "a black box cannot be asked again" if permuted is None else "",
        "blanked": {"score": 0.5},
        "error": "",
    }


def test_the_page_shows_shortcuts_and_errors(summary: Summary, records: list[Record]) -> None:
    group = {"student_score": 0.6, "teacher_score": 0.8, "difference": -0.2, "items": 60}
    bounds = {"lower_bound": -0.31, "upper_bound": -0.1}
    counts = {"only_teacher": 21, "same_wrong": 13, "other_wrong": 3, "only_student": 2}
    errors = {"agreement": 0.7, "inherited": 0.81, "both_right": 61, "worst_group": "<late>"}
    listed = [{"group": "<late>", **group, **bounds}]
    found = dict(summary) | {
        "shortcut_audit": {"teacher": audit(0.9, None, 52), "sizes": {"28k": audit(0.8, 0.3, 97)}},
        "errors": {"28k": {**counts, **errors, "groups": listed}},
    }
    said = {"question": "1 + 1 < 3?", "correct": "yes", "teacher": "yes", "student": ""}
    item = {"id": "q7", "mistake": "only_teacher", "group": "<late>", **said}
    text = " ".join(re.sub(r"<[^>]*>", " ", render(found, records, {"28k": [item]})).split())
    for words in (
        "28k 0.800 0.300 41% 0.500 option 1 97%, gold 50% shortcut: fails once the options change "
        "places; gives one answer , macro_f1 0.400 0.350-0.450",
        "teacher 0.900 - - 0.500 option 1 52%, gold 50% a black box cannot be asked again",
        "answer gold teacher 28k option 1 50% 52% 97% option 2 50% 48% 3%",
        "28k 21 13 3 2 61 70% 81%",
        "28k &lt;late&gt; 60 0.800 0.600 -20.0 -31.0 to -10.0 worst",
        "q7 question 1 + 1 &lt; 3? correct yes teacher yes student (nothing)",
    ):
        assert words in text
    assert "Shortcuts" not in render(summary, records)


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


def test_the_page_shows_what_a_browser_would_obey(summary: Summary, records: list[Record]) -> None:
    sentence = "no match: \u202egnp.exe \x1b[2J <b> \u200b"
    text = render(dict(summary) | {"sentence": sentence}, records)
    assert r"no match: \u202egnp.exe \x1b[2J &lt;b&gt; \u200b" in text
    assert not {"\u202e", "\x1b", "\u200b"} & set(text)
    assert "<svg" in text
