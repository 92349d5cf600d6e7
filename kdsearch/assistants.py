"""Teacher assistants: students of earlier runs that teach now.

A student learns more from a teacher that is not too much larger (Mirzadeh et al. 2020; MiniLM,
Wang et al. 2020, section 3.4), so a student of middle size may stand between.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kdsearch.errors import ModelError
from kdsearch.model_folders import model_folder
from kdsearch.spec.record import recorded_spec
from kdsearch.storage.sums import check_sums

if TYPE_CHECKING:
    from kdsearch.spec.models import Stage
    from kdsearch.spec.teachers import Teacher


def source_folder(source: Teacher) -> Path | None:
    """Return the model folder that a teacher is taken from; None where it is from none.

    Raises:
        ModelError: If there is no such model, run or student.
    """
    if source.model is not None:
        return model_folder(source.model)
    if source.run is None or source.size is None:
        return None
    return student_folder(Path(source.run), source.size)


def student_folder(run: Path, size: str) -> Path:
    """Return where a finished run keeps its student of one size: exported, else in its trial.

    Raises:
        ModelError: If it is no finished run, or has no such student.
    """
    trials = {each["size"]: each["best_trial"] for each in _read(run, "summary.json")["sizes"]}
    trained = sorted(name for name, trial in trials.items() if trial is not None)
    if size not in trained:
        told = "visited no" if size in trials else "has no size"
        raise ModelError(
            f"the run {told} {size}", where=str(run), fix=f"its students: {', '.join(trained)}"
        )
    exported = run / "students" / size
    folder = exported if exported.is_dir() else run / "trials" / trials[size] / "student"
    if not folder.is_dir():
        raise ModelError("the run's student is no longer there", where=str(folder))
    check_sums(folder)
    return folder


def foreknowledge(source: Teacher, stage: Stage, seed: int) -> str | None:
    """Say that an assistant may have been trained on what a search keeps from its students.

    Args:
        source: The teacher.
        stage: Of the search, whose confirm decides.
        seed: What its splits are drawn by.

    Returns:
        None where it was trained on another domain, or on the same splits.

    Raises:
        ModelError: If its run's spec cannot be read.
    """
    if source.run is None:
        return None
    try:
        before = recorded_spec(_read(Path(source.run), "manifest.json"))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"]
        raise ModelError(f"its spec is of another version: {fault}", where=source.run) from error
    own = before.stage
    if own.domain.name != stage.domain.name:
        return None
    if (own.splits, _data(own), before.search.seed) == (stage.splits, _data(stage), seed):
        return None
    return (
        f"{source.run} divided domain '{stage.domain.name}' otherwise (splits, options or seed): "
        "its student may have been trained on dev and confirm, so that its scores there say too "
        "much"
    )


def _data(stage: Stage) -> dict[str, Any]:
    """Return the options of a stage's domain, paths made absolute as runs record them."""
    return {
        key: str(Path(value).absolute()) if isinstance(value, str) else value
        for key, value in stage.domain.options.items()
    }


def _read(run: Path, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((run / name).read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        fix = f"finish it by `kdsearch resume {run}`" if run.is_dir() else "check the path"
        raise ModelError(f"no finished run: no {name}", where=str(run), fix=fix) from error
    return content
