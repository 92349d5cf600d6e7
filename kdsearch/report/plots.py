"""Pictures of a run: scores over sizes, and losses over steps, as SVG text.

What is drawn is read off first, as plain points; matplotlib only draws it.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.events import TrialProgress
from kdsearch.report import numbers
from kdsearch.report.rows import size_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kdsearch.events import Record
    from kdsearch.report.curves import Panel, TrialCurves
    from kdsearch.report.rows import SizeRow, Summary

COLOURS: Mapping[str, str] = {
    "match": "#2a7f4f",
    "no_match": "#b3423a",
    "undecided": "#b7791f",
    "failed": "#86408f",
}
"""By verdict, as in the table."""

INK, FAINT, OTHER = "#333333", "#9a9a9a", "#c4572e"


class Curve(NamedTuple):
    """The whole objective of one trial over its steps."""

    trial: str
    steps: list[int]
    losses: list[float]


def curves(records: Iterable[Record]) -> list[Curve]:
    """Return the loss curve of each trial of a journal, the teacher's under `teacher`."""
    found: dict[str, Curve] = {}
    for record in records:
        event = record.event
        if isinstance(event, TrialProgress) and "loss" in event.losses:
            name = event.trial or "teacher"
            curve = found.setdefault(name, Curve(name, [], []))
            while curve.steps and event.step <= curve.steps[-1]:  # the trial went on from before
                curve.steps.pop()
                curve.losses.pop()
            curve.steps.append(event.step)
            curve.losses.append(event.losses["loss"])
    return [curve for curve in found.values() if len(curve.steps) > 1]


def scores_svg(summary: Summary) -> str:
    """Draw the score of each visited size over its parameters, with the teacher and the margin."""
    rows = [row for row in size_rows(summary)[1:] if row.dev is not None]
    figure, axes = _figure(3.4)
    _teacher_line(axes, summary)
    for row in rows:
        _point(axes, row)
    axes.set_xscale("log")
    axes.set_xticks(
        [float(row.parameters or 1) for row in rows],
        [f"{row.name}\n{numbers.parameters(row.parameters)}" for row in rows],
    )
    axes.minorticks_off()
    axes.set_xlabel("student size (parameters)")
    axes.set_ylabel(summary["match"]["metric"])
    _legend(axes)
    return _svg(figure)


def _teacher_line(axes: Axes, summary: Summary) -> None:
    """Draw the teacher's score and how far below it a student still matches."""
    teacher, match = summary["teacher"], summary["match"]
    score = (teacher.get("confirm") or teacher["dev"])["score"]
    kept = match.get("retain")
    bar = score - match["margin"] if kept is None else kept * score
    axes.axhline(score, color=INK, linewidth=1, label="teacher")
    axes.axhspan(bar, score, color=INK, alpha=0.08, linewidth=0, label="still a match")


def _point(axes: Axes, row: SizeRow) -> None:
    """Draw one size: its baseline, its dev score and, where tested, confirm with interval."""
    place, colour = float(row.parameters or 1), COLOURS.get(row.verdict, FAINT)
    if row.baseline is not None:
        axes.plot([place], [row.baseline], "x", color=FAINT, label="baseline, dev")
    if row.dev is not None:
        axes.plot([place], [row.dev], "o", color=colour, fillstyle="none", label="distilled, dev")
    if row.confirm is None:
        return
    low, high = row.interval or (row.confirm, row.confirm)
    reach = [[max(0.0, row.confirm - low)], [max(0.0, high - row.confirm)]]
    axes.errorbar(
        place, row.confirm, yerr=reach, fmt="o", color=colour, label="distilled, confirm, 95%"
    )


def losses_svg(drawn: Sequence[Curve]) -> str:
    """Draw loss curves, one line a trial."""
    figure, axes = _figure(3.4)
    for curve in drawn:
        axes.plot(curve.steps, curve.losses, linewidth=1.2, label=curve.trial)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    if all(loss > 0 for curve in drawn for loss in curve.losses):
        axes.set_yscale("log")
    axes.legend(fontsize=7, frameon=False, ncols=1 + len(drawn) // 9)
    return _svg(figure)


def terms_svg(drawn: TrialCurves) -> str:
    """Draw each loss term of a trial, train against validation, and its metric on dev."""
    from matplotlib.figure import Figure

    columns = 2 if len(drawn.panels) == 4 else min(3, len(drawn.panels))
    rows = -(-len(drawn.panels) // columns)
    figure = Figure(figsize=(8, 0.3 + 2.1 * rows), layout="constrained")
    for place, panel in enumerate(drawn.panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        _plain(axes)
        axes.set_title(panel.name, fontsize=9, color=INK)
        axes.set_xlabel("step", fontsize=8)
        _panel(axes, panel, drawn.kept)
    return _svg(figure)


def _panel(axes: Axes, panel: Panel, kept: int | None) -> None:
    """Draw one measure; on a logarithmic scale where it is a loss above 0."""
    from matplotlib.ticker import LogLocator

    train, other = panel.train, panel.other
    if train.steps:
        axes.plot(*train, color=INK, linewidth=1.2, label="train")
        if min(train.values + other.values) > 0.0:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
    if other.steps:
        name = "validation" if train.steps else "dev"
        axes.plot(*other, "o-", color=OTHER, linewidth=1.2, markersize=3, label=name)
    if kept is not None:
        axes.axvline(kept, color=FAINT, linewidth=1, linestyle=":", label="kept")
    axes.legend(fontsize=7, frameon=False)


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    """Leave out what a picture does not need."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, which="both")


def _legend(axes: Axes) -> None:
    """Name each kind of mark once."""
    handles, labels = axes.get_legend_handles_labels()
    once: dict[str, Any] = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), fontsize=8, frameon=False, loc="lower right")


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element; the same figure gives the same text."""
    import matplotlib

    text = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kdsearch"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]
