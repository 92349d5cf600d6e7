"""What a summary says of the audits of a run: shortcuts, errors, and what to beware of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.search.shortcuts import one_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kdsearch.events import ModelAudited

    Audits = Mapping[str | None, ModelAudited]
    """By size; None is the teacher."""


def audit_figures(audits: Audits) -> dict[str, Any] | None:
    """Return what was found of each model, None of a run that has not been audited."""
    if not audits:
        return None
    teacher = audits.get(None)
    return {
        "teacher": teacher and _shortcuts(teacher),
        "sizes": {size: _shortcuts(audit) for size, audit in audits.items() if size is not None},
    }


def error_figures(audits: Audits) -> dict[str, Any]:
    """Return the errors of each audited size beside the teacher's, and the file of its items."""
    return {
        size: {**audit.errors, "trial": audit.trial, "path": f"errors/{size}.jsonl"}
        for size, audit in audits.items()
        if size is not None and audit.errors is not None
    }


def shortcuts_of(figures: Mapping[str, Any]) -> list[str]:
    """Return the shortcuts that a model takes, a few words each.

    Args:
        figures: `permuted` and `most_frequent` of its audit.
    """
    permuted, top = figures["permuted"] or {}, figures["most_frequent"]
    told = []
    if permuted.get("collapses"):
        told.append("fails once the options change places")
    if permuted.get("by_place"):
        told.append("answers by place")
    if top and one_answer(top["share"], top["gold_share"]):
        told.append("gives one answer")
    return told


def takes_shortcut(audit: ModelAudited | None) -> bool | None:
    """Whether a model takes any shortcut; None where its options could not be permuted."""
    if audit is None:
        return None
    if shortcuts_of(audit.__dict__):
        return True
    return None if audit.permuted is None else False


def audit_warnings(audits: Audits) -> Iterable[str]:
    """Say which models take shortcuts, and which could not be audited."""
    for size, audit in audits.items():
        name = size or "the teacher"
        if audit.error:
            yield f"{name} could not be audited: {audit.error}"
        for shortcut in shortcuts_of(audit.__dict__):
            shown = shortcut_evidence(audit, shortcut)
            yield f"{name} takes a shortcut on dev: it {shortcut} ({shown})"


def shortcut_evidence(audit: ModelAudited, shortcut: str) -> str:
    """Return the figures of a shortcut."""
    permuted, top = audit.permuted or {}, audit.most_frequent
    if shortcut.startswith("fails"):
        score = audit.score or 0.0
        return f"its score falls from {score:.3f} to {permuted['score']:.3f}"
    if shortcut.startswith("answers"):
        kept, same = permuted["same_place"], permuted["agreement"]
        return f"permuted, {kept:.0%} of its answers keep their place and {same:.0%} the option"
    return f"{top['answer']} to {top['share']:.0%}, and {top['gold_share']:.0%} are so"


def _shortcuts(audit: ModelAudited) -> dict[str, Any]:
    return {
        "trial": audit.trial,
        "items": audit.items,
        "score": audit.score,
        "aggregates": dict(audit.aggregates),
        "aggregate_intervals": {
            name: list(bounds) for name, bounds in audit.aggregate_intervals.items()
        },
        "histogram": [list(share) for share in audit.histogram],
        "most_frequent": dict(audit.most_frequent),
        "permuted": audit.permuted and dict(audit.permuted),
        "not_permuted": audit.not_permuted,
        "blanked": audit.blanked and dict(audit.blanked),
        "not_blanked": audit.not_blanked,
        "shortcut": takes_shortcut(audit),
        "shortcuts": shortcuts_of(audit.__dict__),
        "error": audit.error,
    }
