"""What a summary says of the audits of a run: shortcuts, errors, and what to beware of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def takes_shortcut(audit: ModelAudited | None) -> bool | None:
    """Whether a model's score collapses once its options are permuted; None where unknown."""
    return None if audit is None or audit.permuted is None else bool(audit.permuted["collapses"])


def audit_warnings(audits: Audits) -> Iterable[str]:
    """Say which models take shortcuts, and which could not be audited."""
    for size, audit in audits.items():
        name = size or "the teacher"
        if audit.error:
            yield f"{name} could not be audited: {audit.error}"
        elif audit.permuted is not None and takes_shortcut(audit):
            yield (
                f"{name} takes a shortcut: with the options in other places its score on dev falls "
                f"from {audit.score:.3f} to {audit.permuted['score']:.3f}, by more than a match may"
            )


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
        "shortcut": takes_shortcut(audit),
        "error": audit.error,
    }
