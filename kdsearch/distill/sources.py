"""Where a trial's teacher signals come from: a store, or the teacher run beside the student.

The teacher's job chooses once and notes it in `teacher/signals.json`; trials follow.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import torch

from kdsearch.distill.capture import capture, fingerprint
from kdsearch.distill.data import joined
from kdsearch.distill.passes import IGNORED
from kdsearch.distill.signals import assembled, teacher_signals
from kdsearch.distill.store import DamagedStoreError, SignalStore
from kdsearch.spec.cache import CacheMode
from kdsearch.spec.signals import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdsearch.distill.data import Rows
    from kdsearch.distill.workspace import Workspace
    from kdsearch.plugin import SignalRequest, Student


class Source(Protocol):
    """Gives the teacher's signals of a batch."""

    def columns(self, rows: Rows) -> dict[str, list[int]]:
        """Return what each row of a table must carry for it.

        Raises:
            ModelError: If it has no signals of a row.
        """

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Return the signals of a batch as `signals.assembled` does.

        Args:
            rows: Of the table, with its columns.
            batch: The same, as `passes.collate` makes it.
        """


class CachedSignals:
    """Reads signals from a store."""

    def __init__(self, store: SignalStore) -> None:
        self.store = store

    def columns(self, rows: Rows) -> dict[str, list[int]]:
        """Return where each row is stored, as `signal_row`."""
        return {"signal_row": self.store.rows_of(rows.keys(self.store.files.request.tokens))}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Gather the rows from the store."""
        return self.store.gather([row["signal_row"] for row in rows])


class OnlineSignals:
    """Runs the teacher on each batch.

    Args:
        model: The teacher, on its device; put in evaluation mode.
        request: Which signals.
    """

    def __init__(self, model: Any, request: SignalRequest) -> None:
        self.model = model.train(False)
        self.request = request

    def columns(self, rows: Rows) -> dict[str, list[int]]:
        """Return nothing: the tokens are all that it reads."""
        return {}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Let the teacher read the batch, in its own token ids."""
        on_device = {name: values.to(self.model.device) for name, values in batch.items()}
        if self.request.tokens is not None:
            ids = torch.tensor(self.request.tokens, device=self.model.device)
            read, labels = on_device["input_ids"], on_device["labels"]
            real = labels != IGNORED
            on_device["input_ids"] = ids[read]
            on_device["labels"] = torch.where(real, ids[labels.clamp(min=0)], labels)
        said = teacher_signals(self.model, on_device, self.request)
        return assembled({name: told.values for name, told in said.items()}, self.request)


def provide(workspace: Workspace, load: Callable[[], Student]) -> dict[str, Any]:
    """Choose how trials get their signals, and store them if they are to be stored.

    Args:
        workspace: The run.
        load: Returns the teacher on its device; called for its rows, and its passes if any.

    Returns:
        `mode`, `asked`, `bytes`, `max_bytes`, and of a store `rows`, `computed`, `tokens` and
        `damaged` (see `Captured`), as the `teacher_ready` event holds them.
    """
    cache, request = workspace.spec.cache, workspace.signal_request
    teacher = load()
    kinds = workspace.stored_targets
    rows = joined([workspace.rows("train", teacher, taught=taught) for taught in kinds])
    facts = workspace.teacher_facts
    size = stored_bytes(request, facts, token_counts(rows, causal=not facts.encoder_decoder))
    mode = cache.choose(size)
    chosen = {
        "mode": mode.value,
        "asked": cache.mode.value,
        "bytes": size,
        "max_bytes": cache.max_bytes,
    }
    noted: dict[str, Any] = {"mode": mode.value}
    if mode is CacheMode.CACHED:
        weights = fingerprint(workspace.teacher_folder)
        done = capture(workspace.signal_folder, weights, rows, request, lambda: teacher.model)
        noted |= {"store": done.path.name, "teacher": weights}
        chosen |= {
            "bytes": done.size,
            "rows": done.rows,
            "computed": done.computed,
            "tokens": done.tokens,
            "damaged": done.damaged,
        }
    draft = workspace.signal_note.with_suffix(".new")
    draft.write_text(json.dumps(noted), encoding="utf8")
    draft.replace(workspace.signal_note)
    return chosen


def open_source(
    workspace: Workspace, load: Callable[[], Student], say: Callable[[str], None]
) -> Source:
    """Open what the teacher's job has provided, once a process.

    What has been damaged since is computed anew.

    Args:
        workspace: The run.
        load: Returns the teacher on its device.
        say: Told what had to be done.
    """
    if workspace.source is None:
        workspace.source = _opened(workspace, load, say)
    return workspace.source


def _opened(
    workspace: Workspace, load: Callable[[], Student], say: Callable[[str], None]
) -> Source:
    noted = json.loads(workspace.signal_note.read_text(encoding="utf8"))
    if noted["mode"] == CacheMode.ONLINE.value:
        return OnlineSignals(load().model, workspace.signal_request)
    path = workspace.signal_folder / noted["store"]
    try:
        return CachedSignals(SignalStore(path))
    except DamagedStoreError as error:
        done = provide(workspace, load)
        say(f"teacher signals in {path}: {error}; {done['computed']} rows computed anew")
        return CachedSignals(SignalStore(path))


def token_counts(rows: Rows, *, causal: bool) -> list[tuple[int, int]]:
    """Return how many tokens of each row a teacher reads and predicts."""
    return [
        (len(source) + len(target) - 1 if causal else len(source), len(target))
        for source, target in zip(rows.sources, rows.targets, strict=True)
    ]
