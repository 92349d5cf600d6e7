"""A run's answer as one HTML page that needs nothing else: tables, pictures, trials, plan."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from kdsearch.errors import RunError
from kdsearch.report import numbers, rows
from kdsearch.report.trials import settings_text, trial_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import Record
    from kdsearch.report.rows import Summary


def render(summary: Summary, records: Sequence[Record]) -> str:
    """Return the page of a run.

    Args:
        summary: As in `summary.json`.
        records: The run's journal.

    Raises:
        RunError: If the extra `report` is not installed.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise RunError(
            f"a page needs {' and '.join(missing)}, not installed here",
            fix="pip install 'kdsearch-llm[report]'",
        )
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from kdsearch.report.plots import curves, losses_svg, scores_svg

    pages = Environment(
        loader=PackageLoader("kdsearch.report", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "score": numbers.score,
        "points": numbers.points,
        "percent": numbers.percent,
        "parameters": numbers.parameters,
        "clock": numbers.clock,
        "settings": settings_text,
    }
    visited = any(size.get("dev") for size in summary["sizes"])
    drawn = curves(records)
    return pages.get_template("run.html").render(
        summary=summary,
        title=rows.title(summary["name"], summary["match"]),
        outcome=rows.OUTCOMES.get(summary["outcome"], summary["outcome"]),
        sizes=rows.size_rows(summary),
        notes=rows.notes(summary),
        closing=rows.closing(summary),
        trials=trial_rows(records),
        scores=scores_svg(summary) if visited else "",
        losses=losses_svg(drawn) if drawn else "",
    )
