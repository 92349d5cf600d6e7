"""What an answers file in a run directory says of each item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class ItemScores(NamedTuple):
    """The score of each item, in the order of the file."""

    ids: list[str]
    scores: list[float]


def read_item_scores(path: Path) -> ItemScores:
    """Read an answers file, one JSON line an item."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    return ItemScores([line["id"] for line in lines], [float(line["score"]) for line in lines])
