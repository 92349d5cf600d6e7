"""What an answers file in a run directory says of each item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.inputs.added_items import split_name

if TYPE_CHECKING:
    from pathlib import Path


class ItemScores(NamedTuple):
    """The score of each item, in the order of the file."""

    ids: list[str]
    scores: list[float]
    added: tuple[int, ...] = ()
    """How many items each look at confirm brought."""


def read_item_scores(path: Path) -> ItemScores:
    """Read an answers file, one JSON line an item."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    return ItemScores([line["id"] for line in lines], [float(line["score"]) for line in lines])


def read_confirm(folder: Path, look: int) -> ItemScores:
    """Read the answers to confirm, with those to the items that looks up to this one added."""
    parts = [read_item_scores(folder / f"{split_name(each)}.jsonl") for each in range(1, look + 1)]
    return ItemScores(
        [item for part in parts for item in part.ids],
        [score for part in parts for score in part.scores],
        tuple(len(part.ids) for part in parts),
    )
