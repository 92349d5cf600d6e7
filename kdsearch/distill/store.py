"""The teacher's signals on disk, as trials read them.

A store is a folder named by what it holds: a hash of the teacher's weights, the request and the
token ids of its rows. In it lie

* `rows.safetensors`: the `keys` of the rows (16 bytes each) and their `lengths` along each axis;
* `layout.json`: the store's name, the request, and the type, shape and axes of each signal;
* for each signal one file of all its values, end to end: mapped into memory, so that trials of one
  machine share it, and a batch is gathered by one index operation;
* `shards.jsonl`: a line for each run of rows that is written whole, with the hash of its values.

`kdsearch.distill.capture` writes stores.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdsearch.distill.signals import Axis, assembled
from kdsearch.errors import ModelError, RunError
from kdsearch.plugin import LayerSignal, Signal, SignalRequest
from kdsearch.storage import digest, read_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class DamagedStoreError(Exception):
    """A store is not whole, or not what its name says."""


@dataclass(frozen=True)
class Layout:
    """How one signal lies in its file."""

    dtype: str
    """A torch type, such as `float16`."""
    shape: tuple[int, ...]
    """Of the values of one token, or of one pair of tokens."""
    axes: tuple[Axis, ...]

    @property
    def kind(self) -> torch.dtype:
        """The torch type."""
        kind: torch.dtype = getattr(torch, self.dtype)
        return kind

    @property
    def numbers(self) -> int:
        """How many one token, or one pair of tokens, has."""
        return math.prod(self.shape)


class Shard(NamedTuple):
    """A run of rows that is written whole."""

    rows: range
    digest: str


def shard_line(shard: Shard) -> str:
    """Return a shard as `shards.jsonl` holds it, with a checksum of the line."""
    told = {"rows": [shard.rows.start, shard.rows.stop], "sha256": shard.digest}
    total = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    return json.dumps({**told, "sum": total}) + "\n"


class StoreFiles:
    """The files of one store.

    Args:
        path: The store.

    Raises:
        DamagedStoreError: If index or layout are missing, damaged or of another store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            described = read_sealed(path / "layout.json")
            named = described["store"]
            if digest(path / "rows.safetensors") != described["rows"]:
                raise DamagedStoreError("its index is not what was written")
            self.index: dict[str, Tensor] = load_file(path / "rows.safetensors")
            self.request = _request(described["request"])
            self.layouts = {
                name: Layout(one["dtype"], tuple(one["shape"]), tuple(map(Axis, one["axes"])))
                for name, one in described["signals"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, RunError) as error:
            raise DamagedStoreError(f"index or layout cannot be read: {error}") from error
        if named != path.name:
            raise DamagedStoreError(f"it is a copy of {named}")
        self.bounds = {
            axes: self._bounds_along(axes)
            for axes in {layout.axes for layout in self.layouts.values()}
        }

    def _bounds_along(self, axes: tuple[Axis, ...]) -> Tensor:
        """Return where each row begins, and the last ends, in signals that lie along these axes."""
        counts = torch.stack([self.index[f"lengths/{axis}"] for axis in axes]).prod(0)
        return torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.index["keys"])

    def file(self, name: str) -> Path:
        """Return where a signal's values lie."""
        return self.path / f"{name.replace('/', '.')}.bin"

    def place(self, name: str, rows: range) -> tuple[int, int]:
        """Return where the values of rows begin and end, in bytes."""
        layout = self.layouts[name]
        bounds, width = self.bounds[layout.axes], layout.numbers * layout.kind.itemsize
        return int(bounds[rows.start]) * width, int(bounds[rows.stop]) * width

    @property
    def size(self) -> int:
        """Bytes of all signals."""
        return sum(self.place(name, range(self.count))[1] for name in self.layouts)

    def shards(self) -> list[Shard]:
        """Return what has been recorded as written; a torn last line was not."""
        ledger, found = self.path / "shards.jsonl", []
        for line in (
            ledger.read_text(encoding="utf8", errors="replace").splitlines()
            if ledger.exists()
            else ()
        ):
            try:
                entry = json.loads(line)
                shard = Shard(range(*entry["rows"]), entry["sha256"])
            except (ValueError, KeyError, TypeError):
                continue
            within = 0 <= shard.rows.start < shard.rows.stop <= self.count
            if within and shard_line(shard) == f"{line}\n":
                found.append(shard)
        return found

    def holds(self, shard: Shard) -> bool:
        """Whether the values of a shard are those that were written."""
        digest = hashlib.sha256()
        for name in sorted(self.layouts):
            start, end = self.place(name, shard.rows)
            if not self.file(name).exists():
                return False
            with self.file(name).open("rb") as stream:
                stream.seek(start)
                while start < end and (piece := stream.read(min(end - start, 2**20))):
                    digest.update(piece)
                    start += len(piece)
        return digest.hexdigest() == shard.digest


class SignalStore:
    """Reads a store by memory map, once every value is found to be what was written.

    Args:
        path: The store.

    Raises:
        DamagedStoreError: If it is not whole.
    """

    def __init__(self, path: Path) -> None:
        files = StoreFiles(path)
        shards = files.shards()
        covered = {row for shard in shards for row in shard.rows}
        if len(covered) < files.count or not all(map(files.holds, shards)):
            raise DamagedStoreError("values are missing or are not those that were written")
        self.files = files
        self._rows = {bytes(key): row for row, key in enumerate(files.index["keys"].numpy())}
        self._values = {name: self._mapped(name) for name in files.layouts}

    def rows_of(self, keys: Sequence[bytes]) -> list[int]:
        """Return where each row is stored.

        Raises:
            ModelError: If a row's tokens are not those that the teacher saw.
        """
        missing = sum(key not in self._rows for key in keys)
        if missing:
            raise ModelError(
                f"{missing} of {len(keys)} rows have no teacher signals: their tokens differ",
                fix="students must use the teacher's tokenizer for these losses",
            )
        return [self._rows[key] for key in keys]

    def gather(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return the signals of a batch as `signals.assembled` does, padded with zeros."""
        return assembled(self.tensors(rows), self.files.request)

    def tensors(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return every tensor of a batch by the name it is stored by, padded with zeros."""
        index = torch.as_tensor(rows)
        return {name: self._padded(name, index) for name in self._values}

    def _mapped(self, name: str) -> Tensor:
        layout = self.files.layouts[name]
        tokens = int(self.files.bounds[layout.axes][-1])
        flat = torch.from_file(
            str(self.files.file(name)),
            shared=False,
            size=tokens * layout.numbers,
            dtype=layout.kind,
        )
        return flat.view(tokens, *layout.shape)

    def _padded(self, name: str, rows: Tensor) -> Tensor:
        axes, values = self.files.layouts[name].axes, self._values[name]
        within = torch.zeros(len(rows), *[1] * len(axes), dtype=torch.long)
        real = torch.ones_like(within, dtype=torch.bool)
        for depth, axis in enumerate(axes, start=1):
            count = self.files.index[f"lengths/{axis}"][rows].view(-1, *[1] * len(axes))
            column = torch.arange(int(count.max())).view(-1, *[1] * (len(axes) - depth))
            within = within * count + column
            real = real & (column < count)
        starts = self.files.bounds[axes][rows].view(-1, *[1] * len(axes))
        gathered = values[torch.where(real, starts + within, 0)]
        return gathered * real.view(*real.shape, *[1] * (values.dim() - 1))


def _request(stored: Mapping[str, Any]) -> SignalRequest:
    """Read a request from its JSON."""
    layers = [LayerSignal(Signal(kind), *rest) for kind, *rest in stored["layers"]]
    lists: dict[str, Any] = {"layers": tuple(layers), "temperatures": tuple(stored["temperatures"])}
    if stored["tokens"] is not None:
        lists["tokens"] = tuple(stored["tokens"])
    return SignalRequest(**{**stored, **lists})
