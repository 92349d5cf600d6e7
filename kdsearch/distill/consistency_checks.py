"""Compares the data that a worker loaded with those that the driver recorded in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.inputs.consistency import check_consistent, input_hashes
from kdsearch.splits import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned


def as_recorded(
    assigned: Assigned, parts: Parts, manifest: Mapping[str, Any], prefix: str = ""
) -> Assigned:
    """Return the splits if they are those that a run began with.

    Args:
        assigned: The splits; an empty one is not compared.
        parts: The domain that gave them, with its options.
        manifest: The run's; what an old one does not hold is not compared.
        prefix: Of the stage's entries.

    Raises:
        InconsistentDataError: If a split, the classes or a prompt differs.
    """
    splits = {split: each for split, each in assigned._asdict().items() if each}
    found = {f"{prefix}{split}": fingerprint(each) for split, each in splits.items()}
    found |= input_hashes(parts.domain, parts.options, splits, prefix)
    recorded = {**manifest.get("data", {}), **manifest.get("inputs", {})}
    who = "a worker loaded other data than the driver"
    check_consistent(parts.domain.name, recorded, found, who)
    return assigned
