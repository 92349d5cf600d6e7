"""Fabricated runs of a teacher of 147k parameters and six sizes: a summary, and a journal."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kdsearch.events import Record, RunStarted


def size(name: str, parameters: int, verdict: str, **others: Any) -> dict[str, Any]:
    """Return a size of a summary; what is not given is unknown."""
    unknown = {"decided_on": None, "exploratory": False, "trials": 0, "best_trial": None}
    unknown |= {"dev": None, "confirm": None, "baseline": None}
    counts = {"size": name, "parameters": parameters, "embedding_parameters": parameters // 8}
    return {**counts, "verdict": verdict, **unknown, **others}


def on_dev(score: float) -> dict[str, Any]:
    return {"score": score, "n": 800}


def on_confirm(score: float, difference: float, lower: float, upper: float) -> dict[str, Any]:
    return {
        "score": score,
        "n": 1600,
        "ci": [score - 0.013, score + 0.012],
        "difference": difference,
        "lower_bound": lower,
        "upper_bound": upper,
        "student_only": 41,
        "teacher_only": 58,
        "p_value": 0.004,
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    """Return a finished run's summary."""
    sizes = [
        size("4k", 4_128, "not_visited"),
        size("11k", 11_392, "no_match", decided_on="dev", trials=3, dev=on_dev(0.517)),
        size("19k", 19_264, "undecided", decided_on="confirm", trials=3, dev=on_dev(0.914)),
        size("28k", 28_416, "match", decided_on="confirm", trials=2, dev=on_dev(0.929)),
        size("64k", 64_000, "failed", trials=1),
        size("147k", 146_912, "not_visited"),
    ]
    sizes[1] |= {"best_trial": "11k-c1-s0", "baseline": {"score": 0.498}}
    sizes[2] |= {"best_trial": "19k-c0-s0", "baseline": {"score": 0.816}}
    sizes[2] |= {"confirm": on_confirm(0.908, -0.0234, -0.0381, -0.0091)}
    sizes[3] |= {"best_trial": "28k-c0-s0", "baseline": {"score": 0.911}}
    sizes[3] |= {"confirm": on_confirm(0.921, -0.0106, -0.0222, 0.0009)}
    teacher = {"name": "scratch t5", "parameters": 146_912, "dev": on_dev(0.933)}
    teacher |= {"confirm": {"score": 0.931, "n": 1600, "ci": [0.918, 0.943]}}
    teacher |= {"chance": {"majority_score": 0.081, "p_value": 1e-9}}
    supported = {"planned": 0.0218, "observed": 0.0191}
    return {
        "schema_version": 1,
        "name": "arithmetic",
        "outcome": "match",
        "sentence": "The smallest student that matches is 28k: 19% of the teacher's parameters, "
        "1.1 points below it on confirm and no more than 2.2 points at 95% confidence.",
        "teacher": teacher,
        "match": {
            "metric": "accuracy",
            "margin": 0.03,
            "confidence": 0.95,
            "smallest_supported_margin": supported,
        },
        "sizes": sizes,
        "selected": {
            "size": "28k",
            "parameters": 28_416,
            "share_of_teacher": 28_416 / 146_912,
            "path": "students/28k",
        },
        "cost": {
            "train_flops": 6.5e13,
            "teacher_flops": 1.2e13,
            "evaluation_flops": 3e12,
            "exhaustive_grid_flops": 3.1e14,
            "share_of_grid": 0.2097,
            "wall_seconds": 151.4,
        },
        "trials": {"finished": 8, "stopped": 1, "failed": 1},
        "failures": [{"trial": "64k-c0-s0", "error": "Traceback:\nValueError: loss is not finite"}],
        "warnings": ["confirm's 1,600 items support no margin below 2.2 points"],
    }


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Return the journal: two trials at a time, a failed one, a stopped one, a match."""
    lines = (Path(__file__).parent / "journal.jsonl").read_text(encoding="utf8").splitlines()
    return [Record.from_json(json.loads(line)) for line in lines]


@pytest.fixture
def plan(records: list[Record]) -> dict[str, Any]:
    """Return the plan that opens the journal."""
    begun = records[0].event
    assert isinstance(begun, RunStarted)
    return deepcopy(dict(begun.plan))
