"""What a run may be extended by: sizes, configurations and ablations, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.spec.loading import differences

if TYPE_CHECKING:
    from kdsearch.spec.models import SearchSpec


def beyond_extension(old: SearchSpec, new: SearchSpec) -> list[str]:
    """Name every difference of two specs but more sizes, configurations and ablations."""
    faults = [
        f"ladder.{key} loses or changes what it had"
        for key, value in old.ladder.rest.items()
        if not _grew(value, new.ladder.rest.get(key))
    ]
    if new.search.configurations_per_size < old.search.configurations_per_size:
        faults.append("search.configurations_per_size falls")
    search = old.search.model_copy(
        update={"configurations_per_size": new.search.configurations_per_size}
    )
    ladder = new.ladder if old.ladder.kind == new.ladder.kind else old.ladder
    same = old.model_copy(update={"search": search, "ladder": ladder, "ablate": new.ablate})
    return faults + differences(same, new)


def _grew(old: Any, new: Any) -> bool:
    """Whether a list or mapping holds all that it held, or any other value is the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and new[key] == value for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(value in new for value in old)
    return bool(old == new)
