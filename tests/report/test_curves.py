"""The curves of a trial, from its file to the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kdsearch.events import Record, TrialFinished
from kdsearch.report.curves import Panel, Series, read_curves
from kdsearch.report.page import render
from kdsearch.report.plots import terms_svg

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.report.rows import Summary


def point(step: int, **told: Any) -> dict[str, Any]:
    losses = {"loss": 3.0 / step, "loss_answer_ce": 2.0 / step, "loss_hidden_mse": 1.0 / step}
    return {"step": step, "learning_rate": 0.1, "losses": losses, **told}


def kept(summary: Summary, run: Path, points: list[dict[str, Any]]) -> list[Record]:
    """Write the curves of a summary's best trials, and return the end of one."""
    for size in summary["sizes"]:
        if size["best_trial"]:
            folder = run / "trials" / size["best_trial"]
            folder.mkdir(parents=True)
            lines = "".join(json.dumps(each) + "\n" for each in points)
            (folder / "curves.jsonl").write_text(lines)
    end: dict[str, Any] = {"size": "28k", "trial": "28k-c0-s0", "index": 0, "seed": 0}
    end |= {"config": {}, "score": 0.9, "student_only": 0, "teacher_only": 0, "items": 9}
    end |= {"flops": {}, "step": 4, "total_steps": 8, "kept_step": 2}
    return [Record(0, 0.0, TrialFinished(**end))]


def test_each_loss_is_a_panel_and_so_is_the_metric(summary: Summary, tmp_path: Path) -> None:
    held = {"validation": {"loss": 9.0, "loss_answer_ce": 5.0, "loss_hidden_mse": 4.0}}
    points = [point(1), point(2, **held, score=0.5), point(3), point(4, **held, score=0.25)]
    records = kept(summary, tmp_path, points)
    *_, drawn = read_curves(tmp_path, summary, records)
    assert (drawn.trial, drawn.kept) == ("28k-c0-s0", 2)
    assert drawn.panels == [
        Panel("answer_ce", Series([1, 2, 3, 4], [2, 1, 2 / 3, 0.5]), Series([2, 4], [5, 5])),
        Panel("hidden_mse", Series([1, 2, 3, 4], [1, 0.5, 1 / 3, 0.25]), Series([2, 4], [4, 4])),
        Panel("accuracy on dev", Series([], []), Series([2, 4], [0.5, 0.25])),
    ]
    picture = terms_svg(drawn)
    words = ("answer_ce", "hidden_mse", "accuracy on dev", "train", "validation", "dev", "kept")
    assert all(f">{word}<" in picture for word in words)
    page = render(summary, records, trials=read_curves(tmp_path, summary, records))
    assert page.count("<h3>") == 3


def test_one_point_is_no_curve(summary: Summary, tmp_path: Path) -> None:
    kept(summary, tmp_path, [point(1, score=0.5)])
    drawn = read_curves(tmp_path, summary, [])
    assert [each.panels for each in drawn] == [[]] * 3
    assert "Each loss of" not in render(summary, [], trials=drawn)


def test_a_run_of_before_has_no_curves(summary: Summary, tmp_path: Path) -> None:
    assert read_curves(tmp_path, summary, []) == []


def test_a_loss_of_zero_is_drawn_on_a_plain_scale(summary: Summary, tmp_path: Path) -> None:
    nothing = {"loss": 0.0, "loss_answer_ce": 0.0, "loss_hidden_mse": -1.0}
    kept(summary, tmp_path, [point(1, losses=nothing), point(2, losses=nothing)])
    assert "<svg" in terms_svg(read_curves(tmp_path, summary, [])[0])
