"""What a run records of the teachers of a stage, to find them again and to see them change."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.assistants import student_folder
from kdsearch.model_folders import fingerprint, model_folder
from kdsearch.predictions import Predictions, predictions_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plan.stages import PlannedStage
    from kdsearch.plugin.api import Example


def measures_of(stage: PlannedStage, home: str = "") -> dict[str, Any]:
    """Return the measures of `teacher`, the first, and by name of the other `teachers`.

    Args:
        stage: The stage.
        home: Where the run keeps what it makes for it, relative to the run directory.
    """
    names = stage.spec.stage.names
    roots = {
        place: f"{home}teachers/{names[place]}" if place else f"{home}teacher"
        for place in stage.teachers
    }
    found = {place: _measures(stage, place, root) for place, root in roots.items()}
    others = {names[place]: each for place, each in found.items() if place}
    return {"teacher": found.get(0), "teachers": others}


def _measures(stage: PlannedStage, place: int, root: str) -> dict[str, Any]:
    source, measures = stage.spec.stage.teachers[place], asdict(stage.teachers[place])
    if source.fine_tune is not None:
        measures["path"] = f"{root}/model"
    elif source.predictions is not None:
        measures["path"] = f"{root}/tokenizer"
    return measures


class SourceHashes(NamedTuple):
    """Hashes of what teaches in a stage, by what it is."""

    now: dict[str, str]
    earlier: dict[str, str]
    """Of whole files of answers, as runs of earlier versions recorded them."""


def source_fingerprints(stage: PlannedStage, asked: Sequence[Example]) -> SourceHashes:
    """Return hashes of the answers, models and earlier students that teach in a stage.

    Args:
        stage: The stage.
        asked: What it trains on or is judged by; answers to other items do not count.
    """
    found, earlier = dict[str, str](), dict[str, str]()
    for place in stage.teachers:
        source = stage.spec.stage.teachers[place]
        at = f"@{stage.spec.stage.names[place]}" if place else ""
        if source.predictions is not None:
            path = Path(source.predictions)
            found[f"predictions{at}"] = Predictions(path).fingerprint(asked)
            earlier[f"predictions{at}"] = predictions_fingerprint(path)
        if source.model is not None:
            found[f"weights{at}"] = fingerprint(model_folder(source.model))
        if source.run is not None:
            folder = student_folder(Path(source.run), str(source.size))
            found[f"assistant{at}"] = fingerprint(folder)
    return SourceHashes(found, earlier)
