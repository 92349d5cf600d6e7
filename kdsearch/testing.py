"""What plugin authors test with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest


def fake_hub(
    monkeypatch: pytest.MonkeyPatch,
    splits: Mapping[str, Sequence[Mapping[str, Any]]] | Exception,
) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Let the hub hold one dataset, without a network.

    Args:
        monkeypatch: Restores the real hub after the test.
        splits: The rows of each split, or what loading raises.

    Returns:
        The names and keywords of every request, filled as they come.
    """
    asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def load_dataset(*names: str, **request: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        asked.append((names, request))
        if isinstance(splits, Exception):
            raise splits
        return splits

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("kdsearch.plugin.hub.hub_is_off", lambda: False)
    return asked
