"""Checkpoints of a training: written whole, checked before they are read, the last one kept.

What stands in one is the trainer's business. A checkpoint counts once its seal is written: the
hashes of its files, and the identity of the training that it belongs to.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import TrainerCallback

from kdsearch.errors import DamagedFileError
from kdsearch.storage import Folder, read_sealed, sealed

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from kdsearch.spec.training import CheckpointTimes

SEAL = "seal.json"
PREFIX = "checkpoint-"
"""The Trainer's, before the step."""
BEST = "best-"
"""Before the step of weights to come back to."""


class Last(NamedTuple):
    """Where a training can go on."""

    path: Path | None
    """The last whole checkpoint, if there is one."""
    step: int
    faults: list[str]
    """What is wrong with checkpoints that were passed over."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: Holds them.
        identity: Of the training; a checkpoint of another is not used.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.owned = Folder(folder)
        self.identity = identity
        self._sealed_best = 0
        """The step of the best weights that the last checkpoint speaks of."""

    def best(self, step: int) -> Path:
        """Return where the weights of a step are kept as the best."""
        return self.folder / f"{BEST}{step}"

    def make_best(self, step: int) -> Path:
        """Make room for the best weights; those of the last checkpoint stay too."""
        self._remove_bests({step, self._sealed_best})
        return self.best(step)

    def _remove_bests(self, kept: Collection[int]) -> None:
        names = {self.best(step).name for step in kept}
        for path in self.folder.glob(f"{BEST}*"):
            if path.name not in names:
                self.owned.remove(path.absolute())

    def seal(self, path: Path, best: int = 0) -> None:
        """Declare a checkpoint whole, and remove all others.

        Args:
            path: The checkpoint.
            best: The step of the best weights up to there, if any are kept.
        """
        found = [file for file in path.iterdir() if file.name != SEAL]
        found += self.best(best).iterdir() if best else ()
        files = {str(file.relative_to(self.folder)): _digest(file) for file in sorted(found)}
        content = {"identity": self.identity, "best": best, "files": files}
        self.owned.write(path.absolute() / SEAL, sealed(content))
        for other in self._all():
            if other != path:
                self.owned.remove(other.absolute())
        self._remove_bests({best})
        self._sealed_best = best

    def last(self) -> Last:
        """Find where to go on; remove what cannot be used."""
        faults: list[str] = []
        for path in self._all():
            fault = self._fault(path)
            if fault is None:
                seal = read_sealed(path / SEAL, optional=True)
                self._sealed_best = seal["best"]
                return Last(path, _step(path), faults)
            self.owned.remove(path.absolute())
            if fault:
                faults.append(f"its checkpoint at step {_step(path)} is not used: {fault}")
        return Last(None, 0, faults)

    def _all(self) -> list[Path]:
        """Return all checkpoints, whole or not, the latest first."""
        found = [path for path in self.folder.glob(f"{PREFIX}*") if path.is_dir()]
        return sorted(found, key=_step, reverse=True)

    def _fault(self, path: Path) -> str | None:
        """Return what is wrong with a checkpoint; empty if it was never whole."""
        if not (path / SEAL).exists():
            return ""
        try:
            seal = read_sealed(path / SEAL, optional=True)
            if seal["identity"] != self.identity:
                return "it is of another training"
            known = seal["files"].items()
            changed = [name for name, digest in known if _digest(self.folder / name) != digest]
        except DamagedFileError as error:
            return f"its {SEAL} is damaged: {error.message}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"it cannot be read ({error})"
        return f"{changed[0].rpartition('/')[2]} is damaged" if changed else None


class CheckpointClock(TrainerCallback):
    """Asks for a checkpoint when one is due.

    Args:
        times: When that is.
    """

    def __init__(self, times: CheckpointTimes) -> None:
        self.times = times
        self.saved = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for one, but after the last step."""
        minutes, steps = self.times.minutes, self.times.steps
        late = minutes is not None and time.monotonic() - self.saved > 60.0 * minutes
        due = steps is not None and state.global_step % steps == 0
        if (late or due) and state.global_step < state.max_steps:
            control.should_save = True
            self.saved = time.monotonic()


def _step(path: Path) -> int:
    """Return the step of a checkpoint; -1 of a folder that is none."""
    number = path.name.removeprefix(PREFIX)
    return int(number) if number.isdecimal() else -1


def _digest(file: Path) -> str:
    """Hash a file that has reached the disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        return hashlib.file_digest(opened, "sha256").hexdigest()
