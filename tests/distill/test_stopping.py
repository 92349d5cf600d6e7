"""When a training ends, and whose weights it keeps: a function of its checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kdsearch.distill.stopping import Check, Stopping
from kdsearch.spec.training import EarlyStopping

AWAY = "the validation loss has turned away from the training loss for 2 checks"


def run(checks: list[Any], again: bool = False, **asked: Any) -> tuple[int, int, str | None]:
    """Return the last step, the step kept, and why it ended; each check's state is stored."""
    stopping = Stopping(EarlyStopping(patience=2, **asked))
    for step, (score, validation, training) in enumerate(checks, start=1):
        if again:  # as a worker does that goes on from a checkpoint
            state = json.loads(json.dumps(stopping.state()))
            stopping = Stopping(EarlyStopping(patience=2, **asked))
            stopping.restore(state)
        figures = {"score": score, "student_only": step}
        reason = stopping.take(Check(step, score, validation, training), figures).reason
        if reason is not None:
            break
    kept = stopping.kept
    assert stopping.figures == {"score": checks[kept - 1][0], "student_only": kept}
    return step, kept, reason


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("on", "checks", "ends"),
    [
        ("metric", [(0.1, 9, 9), (0.3, 9, 9), (0.2, 9, 9), (0.4, 9, 9)], (4, 4, None)),
        (
            "metric",
            [(0.1, 9, 9), (0.3, 8, 9), (0.3, 7, 9), (0.2, 6, 9), (0.4, 5, 9)],
            (4, 2, "dev has not risen in 2 checks"),
        ),
        # Validation rises while training falls: it has turned away, whatever dev does.
        ("loss", [(0.1, 3, 3), (0.2, 2, 2), (0.3, 3, 1.5), (0.4, 3, 1), (0.5, 1, 1)], (4, 2, AWAY)),
        # Neither falls: training is slow, and goes on.
        ("loss", [(0.1, 3, 3), (0.2, 2, 2), (0, 3, 2.5), (0, 3, 2.1), (0.5, 1, 1)], (5, 5, None)),
        # A new lowest loss starts the count anew.
        ("loss", [(0.1, 3, 3), (0, 4, 2), (0, 2.9, 2), (0, 4, 1), (0.1, 2, 1)], (5, 5, None)),
        ("both", [(0.5, 2, 2), (0.6, 3, 1), (0.7, 3, 1), (0.8, 1, 1)], (3, 3, AWAY)),
        ("both", [(0.5, 3, 3), (0.4, 2, 3), (0.4, 1, 3)], (3, 1, "dev has not risen in 2 checks")),
    ],
)
def test_training_ends_where_it_gets_no_better(
    on: str, checks: list[Any], ends: tuple[int, int, str | None], again: bool
) -> None:
    assert run(checks, again, on=on) == ends


def test_a_gain_below_the_least_is_none() -> None:
    checks = [(0.50, 9, 9), (0.51, 9, 9), (0.52, 9, 9), (0.9, 9, 9)]
    assert run(checks, min_delta=0.02)[:2] == (3, 1)
    assert run(checks, min_delta=0.005)[:2] == (4, 4)
