"""Decides from a training's checks alone when it ends, and with which weights.

The same checks give the same decisions; nothing else of the search is asked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.spec.training import EarlyStopping


class Check(NamedTuple):
    """What was measured at one step."""

    step: int
    score: float | None
    """The domain's metric on dev."""
    validation: float | None
    """The objective on the examples held out of train."""
    training: float
    """The objective in the steps since the last check."""


class Decision(NamedTuple):
    """What follows from a check."""

    better: bool
    """Whether its weights are the best so far."""
    reason: str | None
    """Why the training ends here; None if it goes on."""


@dataclass
class _Best:
    """The best value of one measure, and for how many checks it has been that."""

    value: float | None = None
    training: float = 0.0
    """The training loss when it was reached."""
    waited: int = 0


class Stopping:
    """Takes in the checks of one training, in their order.

    Args:
        asked: By the spec.
    """

    def __init__(self, asked: EarlyStopping) -> None:
        self.asked = asked
        self.kept = 0
        """The step of the best weights."""
        self.figures: dict[str, Any] = {}
        """What their check said of dev."""
        self._score = _Best()
        self._loss = _Best()

    def take(self, check: Check, figures: Mapping[str, Any]) -> Decision:
        """Take in a check.

        Args:
            check: Later than all before.
            figures: Of its answers to dev, kept for the best.
        """
        by_score, by_loss = self.asked.on != "loss", self.asked.on != "metric"
        risen = by_score and check.score is not None and self._risen(check.score)
        fallen = by_loss and check.validation is not None and self._fallen(check)
        better = risen if by_score else fallen
        if better:
            self.kept, self.figures = check.step, dict(figures)
        return Decision(better, self._reason())

    def _risen(self, score: float) -> bool:
        best = self._score
        if best.value is None or score > best.value + self.asked.min_delta:
            self._score = _Best(score)
            return True
        best.waited += 1
        return False

    def _fallen(self, check: Check) -> bool:
        """Whether the validation loss is the lowest; if not, see if it has turned away.

        It has where the training loss is lower than it was at the lowest validation loss: where
        neither falls, training may only be slow.
        """
        best, loss = self._loss, float(check.validation or 0.0)
        if best.value is None or loss < best.value - self.asked.min_delta:
            self._loss = _Best(loss, check.training)
            return True
        best.waited += check.training < best.training
        return False

    def _reason(self) -> str | None:
        checks = f"{self.asked.patience} check{'s' if self.asked.patience > 1 else ''}"
        if self._score.waited >= self.asked.patience:
            return f"dev has not risen in {checks}"
        if self._loss.waited >= self.asked.patience:
            return f"the validation loss has turned away from the training loss for {checks}"
        return None

    def state(self) -> dict[str, Any]:
        """Return all that is known, as plain data."""
        best = {"score": asdict(self._score), "loss": asdict(self._loss)}
        return {"kept": self.kept, "figures": self.figures, **best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.kept, self.figures = state["kept"], dict(state["figures"])
        self._score, self._loss = _Best(**state["score"]), _Best(**state["loss"])
