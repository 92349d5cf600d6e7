"""Writes the teacher's signals: in one pass over its rows, of which nothing is done twice.

A capture that is killed goes on where it ended, and damaged values are computed again, both when
the store is next asked for.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import Tensor

from kdsearch.distill.group import TeacherGroup
from kdsearch.distill.passes import collate
from kdsearch.distill.phases import unheard
from kdsearch.distill.progress import SECONDS_BETWEEN_REPORTS
from kdsearch.distill.signals import Axis, Told, lengths, masks, teacher_signals
from kdsearch.distill.store import DamagedStoreError, Layout, Shard, StoreFiles, shard_line
from kdsearch.errors import ModelError
from kdsearch.storage import Folder, sealed
from kdsearch.storage import digest as file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from kdsearch.distill.data import Rows
    from kdsearch.distill.phases import Progress
    from kdsearch.plugin import SignalRequest

FORMAT = 5
"""Raised whenever the same request would be stored otherwise."""

SHARD_BYTES = 64 * 2**20
"""About so much is held in memory, and lost when a capture is killed."""

MOST_ROWS, MOST_TOKENS = 128, 4096
"""Of one forward pass: enough to keep a device busy, few enough for their logits to fit."""


class Row(NamedTuple):
    """One row as it is stored."""

    key: bytes
    source: Sequence[int]
    target: Sequence[int]


class Captured(NamedTuple):
    """A store that is whole, and what that took."""

    path: Path
    size: int
    """Bytes of all signals."""
    rows: int
    """How many rows it has; equal ones are one."""
    computed: int
    """Rows that the teacher has read now."""
    tokens: int
    """Their source and target tokens."""
    damaged: int
    """Rows whose values were found not to be those written, among them."""


def capture(
    folder: Path,
    teacher: str,
    rows: Rows,
    request: SignalRequest,
    model: Callable[[], PreTrainedModel | TeacherGroup],
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = unheard,
) -> Captured:
    """Compute what is missing of a store.

    One at a time holds a lock; another one waits, and finds the work done.

    Args:
        folder: Of stores.
        teacher: The fingerprint of its weights, or of those of several that are asked together.
        rows: What it reads.
        request: Which signals.
        model: Loads the teacher, or the group; called only if something is missing.
        shard_bytes: About how much is written before it counts.
        progress: Told after every batch.

    Raises:
        ModelError: If a layer's numbers are too large for float16.
    """
    owned = Folder(folder)
    owned.make()
    listed = stored_rows(rows)
    path = folder / store_name(teacher, request, listed)
    with _locked(owned.path(f"{path.name}.lock"), progress):
        try:
            files = StoreFiles(owned.path(path.name))
            shards = files.shards()
            whole = []
            for stored in shards:
                progress(0, len(listed))
                whole += [stored] if files.holds(stored) else []
            damaged = sum(len(shard.rows) for shard in shards if shard not in whole)
        except DamagedStoreError:
            damaged = len(listed) if (path / "shards.jsonl").exists() else 0
            files, whole = None, []
        done = {row for shard in whole for row in shard.rows}
        computed = [row for row in range(len(listed)) if row not in done]
        if computed:
            told = partial(_tell, progress, len(computed))
            writer = _Writer(path, listed, request, model(), told)
            files = writer.begin(files, whole)
            for shard in _split(files, computed, shard_bytes):
                writer.write(files, shard)
    size = StoreFiles(path).size
    tokens = sum(len(listed[row].source) + len(listed[row].target) for row in computed)
    return Captured(path, size, len(listed), len(computed), tokens, damaged)


@contextmanager
def _locked(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock; whoever waits for another one's work says that it is alive."""
    held = FileLock(lock)
    while True:
        try:
            held.acquire(timeout=SECONDS_BETWEEN_REPORTS)
            break
        except Timeout:
            progress(0, 0)
    try:
        yield
    finally:
        held.release()


def _tell(progress: Progress, of: int, done: int) -> None:
    progress(done, of)


def stored_rows(rows: Rows) -> list[Row]:
    """Return rows in the order in which they are stored: longest first, each key once.

    So little of a batch is padding, and the same rows in another order are the same store.
    """
    texts = zip(rows.keys(), rows.sources, rows.targets, strict=True)
    found = {key: Row(key, source, target) for key, source, target in texts}
    return sorted(found.values(), key=lambda row: (-len(row.source) - len(row.target), row.key))


def store_name(teacher: str, request: SignalRequest, rows: Sequence[Row]) -> str:
    """Return the name of a store: it changes with whatever would change its values."""
    digest = hashlib.sha256(f"{FORMAT} {teacher} {_text(request)}".encode())
    for row in rows:
        digest.update(row.key)
    return digest.hexdigest()[:24]


def _text(request: SignalRequest) -> str:
    return json.dumps(asdict(request), sort_keys=True)


def _split(files: StoreFiles, rows: Sequence[int], shard_bytes: int) -> Iterator[range]:
    """Split rows into runs of about so many bytes."""
    start = previous = rows[0]
    for row in [*rows[1:], -1]:
        full = _bytes(files, range(start, previous + 1)) >= shard_bytes
        if row != previous + 1 or full:
            yield range(start, previous + 1)
            start = row
        previous = row


def _bytes(files: StoreFiles, rows: range) -> int:
    places = [files.place(name, rows) for name in files.layouts]
    return sum(end - start for start, end in places)


class _Writer:
    """Lets the teacher read rows and writes what it says."""

    def __init__(
        self,
        path: Path,
        rows: Sequence[Row],
        request: SignalRequest,
        model: PreTrainedModel | TeacherGroup,
        told: Callable[[int], None],
    ) -> None:
        self.path = path.absolute()
        self.owned = Folder(self.path.parent)
        self.rows = rows
        self.request = request
        self.model = model if isinstance(model, TeacherGroup) else model.train(False)
        self.causal = not model.config.is_encoder_decoder
        self.told = told
        self.done = 0

    def begin(self, files: StoreFiles | None, whole: Sequence[Shard]) -> StoreFiles:
        """Make ready for writing: record what is whole, or begin a new store."""
        if files is None:
            self.owned.remove(self.path)
            self.owned.make(self.path)
            self._describe()
            files = StoreFiles(self.path)
        for name in files.layouts:
            with self.owned.stream(files.file(name)) as stream:
                stream.truncate(files.place(name, range(files.count))[1])
        self.owned.write(self.path / "shards.jsonl", "".join(map(shard_line, whole)))
        return files

    def write(self, files: StoreFiles, rows: range) -> None:
        """Compute the signals of a run of rows and write them."""
        pieces: dict[str, list[bytes]] = {name: [] for name in files.layouts}
        for batch in self._batches(rows):
            for name, values in self._real(batch).items():
                pieces[name].append(values.contiguous().view(torch.uint8).numpy().tobytes())
            self.done += len(batch)
            self.told(self.done)
        digest = hashlib.sha256()
        for name in sorted(pieces):
            content = b"".join(pieces.pop(name))
            digest.update(content)
            with self.owned.stream(files.file(name)) as stream:
                stream.seek(files.place(name, rows)[0])
                stream.write(content)
        self.owned.append(self.path / "shards.jsonl", shard_line(Shard(rows, digest.hexdigest())))

    def _describe(self) -> None:
        """Write the index, and the layout as the first row shows it."""
        counts = [lengths(row.source, row.target, causal=self.causal) for row in self.rows]
        index = {f"lengths/{axis}": torch.tensor([each[axis] for each in counts]) for axis in Axis}
        index["keys"] = torch.tensor([list(row.key) for row in self.rows], dtype=torch.uint8)
        rows = self.owned.write(self.path / "rows.safetensors", save(index))
        said, _ = self._say(self.rows[:1])
        layouts = {
            name: Layout(
                str(told.values.dtype).removeprefix("torch."),
                tuple(told.values.shape[1 + len(told.axes) :]),
                told.axes,
            )
            for name, told in said.items()
        }
        described = {
            "store": self.path.name,
            "request": asdict(self.request),
            "signals": {name: asdict(layout) for name, layout in layouts.items()},
            "rows": file_digest(rows),
        }
        self.owned.write(self.path / "layout.json", sealed(described))

    def _batches(self, rows: range) -> Iterator[Sequence[Row]]:
        """Yield rows for one pass each; the first of a batch is its longest."""
        start = rows.start
        while start < rows.stop:
            longest = len(self.rows[start].source) + len(self.rows[start].target)
            end = min(start + max(1, min(MOST_ROWS, MOST_TOKENS // longest)), rows.stop)
            yield self.rows[start:end]
            start = end

    def _say(self, rows: Sequence[Row]) -> tuple[dict[str, Told], Mapping[Axis, Tensor]]:
        """Return what the teacher says of rows, with the masks of their real tokens."""
        batch = collate(
            [row.source for row in rows],
            [row.target for row in rows],
            self.model.config.pad_token_id or 0,
            causal=self.causal,
        )
        on_device = {name: values.to(self.model.device) for name, values in batch.items()}
        with torch.inference_mode():
            said = (
                self.model.say(on_device, self.request)
                if isinstance(self.model, TeacherGroup)
                else teacher_signals(self.model, on_device, self.request)
            )
            return said, masks(on_device)

    def _real(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return the signals of rows at real tokens, end to end."""
        said, real = self._say(rows)
        found = {}
        for name, told in said.items():
            mask = real[told.axes[0]]
            for axis in told.axes[1:]:
                mask = mask[..., None] & real[axis].view(len(rows), *[1] * (mask.dim() - 1), -1)
            found[name] = told.values[mask].cpu()
            if self.request.half and not torch.isfinite(found[name]).all():
                raise ModelError(
                    f"{name} holds numbers beyond float16", fix="set cache.states: float32"
                )
        return found
