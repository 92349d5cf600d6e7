"""The curves that trials keep, read for a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kdsearch.events import Record
    from kdsearch.report.rows import Summary


class Series(NamedTuple):
    """Values at steps."""

    steps: list[int]
    values: list[float]


class Panel(NamedTuple):
    """One measure of a trial over its steps."""

    name: str
    train: Series
    """Empty of the metric, which is asked on dev alone."""
    other: Series
    """On held-out examples of train; of the metric, on dev."""


class TrialCurves(NamedTuple):
    """What is drawn of one trial."""

    trial: str
    panels: list[Panel]
    """One a loss term, then the metric."""
    kept: int | None
    """The step whose weights were kept, where training went on after it."""


def read_curves(run: Path, summary: Summary, records: Iterable[Record]) -> list[TrialCurves]:
    """Read the curves of the best trial of each size that has some.

    Args:
        run: The run directory.
        summary: Of the run.
        records: Its journal, which says which weights were kept.
    """
    finished = {r.event.trial: r.event for r in records if r.event.name == "trial_finished"}
    found = []
    for trial in (size["best_trial"] for size in summary["sizes"]):
        file = run / "trials" / str(trial) / "curves.jsonl"
        if trial is None or not file.is_file():
            continue
        points = [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]
        end = finished.get(trial)
        step, kept = getattr(end, "step", 0), getattr(end, "kept_step", 0)
        panels = panels_of(points, summary["match"]["metric"])
        found.append(TrialCurves(trial, panels, kept if kept < step else None))
    return found


def panels_of(points: list[dict[str, Any]], metric: str) -> list[Panel]:
    """Return a panel a loss term, and one of the metric, of what has at least two points."""
    names = [name for name in (points[0]["losses"] if points else ()) if name != "loss"]
    panels = [
        Panel(
            name.removeprefix("loss_"),
            _series(points, "losses", name),
            _series(points, "validation", name),
        )
        for name in names
    ]
    scored = [point for point in points if "score" in point]
    dev = Series([point["step"] for point in scored], [point["score"] for point in scored])
    panels.append(Panel(f"{metric} on dev", Series([], []), dev))
    return [panel for panel in panels if max(len(panel.train.steps), len(panel.other.steps)) > 1]


def _series(points: Iterable[Mapping[str, Any]], kind: str, name: str) -> Series:
    told = [point for point in points if name in point.get(kind, {})]
    return Series([point["step"] for point in told], [point[kind][name] for point in told])
