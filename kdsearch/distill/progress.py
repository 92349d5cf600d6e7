"""What a training says of itself on its way: reports, a file of curves, checks.

Checks lie at given steps, so that what is decided by them does not depend on the clock.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from kdsearch.distill.stopping import Check
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from kdsearch.distill.stopping import Stopping

    Progress = Callable[[Mapping[str, Any]], None]
    """Called with `step`, `total_steps`, and `losses` (the mean of each since the last call), at a
    check also what it found; or with a `note` of what was done beside training."""

SECONDS_BETWEEN_REPORTS = 3.0
"""A stop takes effect at a report."""

POINTS = 200
"""Of a curve, about."""


class Means:
    """Sums of losses over steps; each reader takes their means since it last did."""

    def __init__(self) -> None:
        self.steps = 0
        self.sums: dict[str, float] = {}
        self.marks: dict[str, tuple[int, dict[str, float]]] = {}

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step."""
        self.steps += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def since(self, reader: str) -> dict[str, float]:
        """Return the mean of each loss since a reader last asked."""
        steps, before = self.marks.get(reader, (0, {}))
        self.marks[reader] = (self.steps, dict(self.sums))
        count = max(1, self.steps - steps)
        return {name: (total - before.get(name, 0.0)) / count for name, total in self.sums.items()}

    def state(self) -> dict[str, Any]:
        """Return all that is known, as plain data."""
        return {"steps": self.steps, "sums": self.sums, "marks": self.marks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.steps, self.sums = state["steps"], dict(state["sums"])
        self.marks = {name: (steps, dict(sums)) for name, (steps, sums) in state["marks"].items()}


class CurveFile:
    """The curves of one training: a JSON line for each point.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = Folder(path.parent)

    def go_on(self, step: int) -> None:
        """Keep the points up to a step, from which the training goes on."""
        told = self.path.read_text(encoding="utf8") if self.path.exists() and step else ""
        kept = [line for line in told.splitlines(keepends=True) if _step_of(line) <= step]
        self.folder.write(self.path, "".join(kept))

    def add(self, point: Mapping[str, Any]) -> None:
        """Add a point."""
        self.folder.append(self.path, json.dumps(point) + "\n")


def _step_of(line: str) -> float:
    """Return the step of a line; later than all if it was not written whole."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")


class Reporter(TrainerCallback):
    """Measures a training at its checks, and reports at the first step and every few seconds.

    The first report shows that the trial is under way, and ends one that is no longer wanted.

    Args:
        means: The losses of the steps.
        report: Told.
        checks: The steps of the checks.
        check: Measures; returns `validation` (a mean of each loss), where examples are held out,
            and figures of dev, `score` the first of them, where it is to be answered.
        objective: Makes one number of the mean of each loss, by weights that do not change.
        stopping: Decides by the checks; None to train to the end.
        keep: Called where the weights are the best so far.
        curve: Where the curves go.
    """

    def __init__(
        self,
        *,
        means: Means,
        report: Progress,
        checks: Collection[int],
        check: Callable[[int], Mapping[str, Any]],
        objective: Callable[[Mapping[str, float]], float],
        stopping: Stopping | None,
        keep: Callable[[int], None],
        curve: CurveFile | None,
    ) -> None:
        self.means = means
        self.report = report
        self.checks = frozenset(checks)
        self.check = check
        self.objective = objective
        self.stopping = stopping
        self.keep = keep
        self.curve = curve
        self.reason = ""
        """Why the training ended before its last step."""
        self._first = 1
        self._due = True
        self._reported = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Mark the first step, which need not be 1."""
        self._first = state.global_step + 1
        if self.curve is not None:
            self.curve.go_on(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a log where a report or a point is due."""
        step, last = state.global_step, state.max_steps
        late = time.monotonic() - self._reported > SECONDS_BETWEEN_REPORTS
        self._due = late or step in self.checks or step in (self._first, last)
        control.should_log = self._due or self._point(step, last)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Check, draw and report what is due."""
        if "loss" not in (logs or {}):
            return
        step, last = state.global_step, state.max_steps
        found = self._check(step, last, control) if step in self.checks else {}
        if self.curve is not None and self._point(step, last):
            rate = {"learning_rate": (logs or {}).get("learning_rate")}
            self.curve.add({"step": step, **rate, "losses": self.means.since("curve"), **found})
        if not self._due:
            return
        if self.stopping is not None and "score" in found:  # what the trial would end with
            found = {**found, **self.stopping.figures}
        losses = self.means.since("report")
        self.report({"step": step, "total_steps": last, "losses": losses, **found})
        self._reported = time.monotonic()

    def _point(self, step: int, last: int) -> bool:
        """Whether the curves have a point at a step."""
        return step == 1 or step % -(-last // POINTS) == 0 or step in self.checks

    def _check(self, step: int, last: int, control: TrainerControl) -> dict[str, Any]:
        """Measure, keep the weights if they are the best, and see if it ends here."""
        found = dict(self.check(step))
        training = self.objective(self.means.since("check"))
        if self.stopping is not None:
            held_out = found.get("validation")
            loss = None if held_out is None else self.objective(held_out)
            figures = {name: value for name, value in found.items() if name != "validation"}
            check = Check(step, found.get("score"), loss, training)
            decision = self.stopping.take(check, figures)
            if decision.better:
                self.keep(step)
            if decision.reason is not None and step < last:
                self.reason = decision.reason
                control.should_training_stop = True
                control.should_save = False  # there is nothing to go on with
        return found
