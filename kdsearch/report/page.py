"""A run's answer as one HTML page that needs nothing else: tables, pictures, trials, plan."""

from __future__ import annotations

from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.report import audits, numbers, rows
from kdsearch.report.trials import settings_text, trial_rows
from kdsearch.report.visible import visible
from kdsearch.search.mistakes import SMALLEST_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.events import Record
    from kdsearch.report.curves import TrialCurves
    from kdsearch.report.rows import Summary


def render(
    summary: Summary,
    records: Sequence[Record],
    items: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
    trials: Sequence[TrialCurves] = (),
) -> str:
    """Return the page of a run.

    Args:
        summary: As in `summary.json`.
        records: The run's journal.
        items: By size, what student or teacher has wrong, as `audits.read_errors` reads it.
        trials: The curves to draw, as `curves.read_curves` reads them.

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

    from kdsearch.report.plots import curves, losses_svg, scores_svg, terms_svg

    pages = Environment(
        loader=PackageLoader("kdsearch.report", "pages"),
        autoescape=True,
        finalize=_shown,
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
        audited=audits.audit_rows(summary),
        answers=audits.answer_rows(summary),
        errors=audits.error_rows(summary),
        groups=audits.group_rows(summary),
        mistakes=audits.MISTAKES,
        smallest_group=SMALLEST_GROUP,
        examples={
            size: [audits.item_lines(item) for item in audits.shown_items(found)]
            for size, found in items.items()
        },
        scores=scores_svg(summary) if visited else "",
        losses=losses_svg(drawn) if drawn else "",
        terms=[(each.trial, terms_svg(each)) for each in trials if each.panels],
    )


def _shown(value: Any) -> Any:
    """Return what an expression of the page writes; pictures are marked as they are."""
    return visible(value) if type(value) is str else value
