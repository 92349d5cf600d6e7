"""The teacher's signals on disk: computed once, read by every trial.

A store is one safetensors file: `keys` (rows, 16 bytes), and for each signal one tensor of all
tokens, end to end, with the length of each row along each axis. Trials map the file and gather a
batch with one index operation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from filelock import FileLock
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdsearch.distill.data import Rows, by_length
from kdsearch.distill.passes import collate
from kdsearch.distill.signals import Axis, Told, assembled, lengths, masks, teacher_signals
from kdsearch.errors import ModelError
from kdsearch.plugin import LayerSignal, Signal, SignalRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

FORMAT = 4
"""Raised whenever the layout of a store changes."""


def fingerprint(folder: Path) -> str:
    """Hash the weights of a model folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


class Flat(NamedTuple):
    """One signal of all rows, end to end."""

    values: Tensor
    """(tokens, ...)."""
    axes: tuple[Axis, ...]


def teacher_pass(
    model: PreTrainedModel, rows: Rows, request: SignalRequest, batch_size: int = 64
) -> dict[str, Flat]:
    """Run the teacher once over rows and return its signals by name.

    Args:
        model: The teacher; put in evaluation mode.
        rows: What it reads; visited in order of length, returned in the order given.
        request: Which signals.
        batch_size: Rows in one forward pass.
    """
    model.train(False)
    kept: dict[str, list[Tensor]] = {}
    axes: dict[str, tuple[Axis, ...]] = {}
    order = by_length(rows)
    causal = not model.config.is_encoder_decoder
    for start in range(0, len(order), batch_size):
        taken = order[start : start + batch_size]
        batch = collate(
            [rows.sources[row] for row in taken],
            [rows.targets[row] for row in taken],
            model.config.pad_token_id or 0,
            causal=causal,
        )
        on_device = {name: values.to(model.device) for name, values in batch.items()}
        real = masks(on_device)
        for name, told in teacher_signals(model, on_device, request).items():
            axes[name] = told.axes
            slots = kept.setdefault(name, [torch.empty(0)] * len(order))
            for place, row in enumerate(taken):
                slots[row] = _real_values(told, real, place).cpu()
    return {name: Flat(torch.cat(pieces), axes[name]) for name, pieces in kept.items()}


def _real_values(told: Told, real: Mapping[Axis, Tensor], place: int) -> Tensor:
    """Return the values of one row at real tokens, its axes flattened to one."""
    values = told.values[place]
    for depth, axis in enumerate(told.axes):
        values = values.movedim(depth, 0)[real[axis][place]].movedim(0, depth)
    return values.flatten(0, len(told.axes) - 1)


def build_store(
    folder: Path, teacher: Path, model: PreTrainedModel, rows: Rows, request: SignalRequest
) -> Path:
    """Compute a store unless it is there, and return its file.

    One builder at a time holds a lock, and the file appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    request_text = json.dumps(asdict(request), sort_keys=True)
    weights, keys = fingerprint(teacher), rows.keys()
    digest = hashlib.sha256(f"{FORMAT}{weights}{request_text}".encode() + b"".join(keys))
    path = folder / f"{digest.hexdigest()[:24]}.safetensors"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            flat = teacher_pass(model, rows, request)
            causal = not model.config.is_encoder_decoder
            tensors = {name: signal.values for name, signal in flat.items()}
            tensors["keys"] = torch.tensor([list(key) for key in keys], dtype=torch.uint8)
            counts = [
                lengths(*row, causal=causal) for row in zip(rows.sources, rows.targets, strict=True)
            ]
            for axis in Axis:
                tensors[f"lengths/{axis}"] = torch.tensor([count[axis] for count in counts])
            metadata = {
                "format": str(FORMAT),
                "teacher": weights,
                "request": request_text,
                "axes": json.dumps({name: signal.axes for name, signal in flat.items()}),
            }
            partial = path.with_suffix(".partial")
            save_file(tensors, partial, metadata=metadata)
            partial.replace(path)
    return path


class SignalStore:
    """Reads a store by memory map.

    Args:
        path: The store's file.
        teacher: Fingerprint that the store must carry, if given.

    Raises:
        ModelError: If the store is of another format or another teacher.
    """

    def __init__(self, path: Path, teacher: str | None = None) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != str(FORMAT):
                raise ModelError(
                    f"signals of format {metadata.get('format')}, not {FORMAT}",
                    where=str(path),
                    fix="delete the file; it is computed anew",
                )
            if teacher is not None and metadata.get("teacher") != teacher:
                raise ModelError(
                    "signals of another teacher", where=str(path), fix="delete the file"
                )
            self._tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        self._request = _request(json.loads(metadata["request"]))
        self._rows = {bytes(key): row for row, key in enumerate(self._tensors["keys"].numpy())}
        self._axes = {name: tuple(axes) for name, axes in json.loads(metadata["axes"]).items()}
        self._starts = {axes: self._starts_along(axes) for axes in set(self._axes.values())}

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
        index = torch.as_tensor(rows)
        padded = {name: self._padded(name, index) for name in self._axes}
        return assembled(padded, self._request)

    def _starts_along(self, axes: tuple[str, ...]) -> Tensor:
        """Return where each row begins in the signals that lie along these axes."""
        counts = torch.stack([self._tensors[f"lengths/{axis}"] for axis in axes]).prod(0)
        return counts.cumsum(0) - counts

    def _padded(self, name: str, rows: Tensor) -> Tensor:
        axes = self._axes[name]
        within = torch.zeros(len(rows), *[1] * len(axes), dtype=torch.long)
        real = torch.ones_like(within, dtype=torch.bool)
        for depth, axis in enumerate(axes, start=1):
            count = self._tensors[f"lengths/{axis}"][rows].view(-1, *[1] * len(axes))
            column = torch.arange(int(count.max())).view(-1, *[1] * (len(axes) - depth))
            within = within * count + column
            real = real & (column < count)
        starts = self._starts[axes][rows].view(-1, *[1] * len(axes))
        values = self._tensors[name][torch.where(real, starts + within, 0)]
        gathered: Tensor = values * real.view(*real.shape, *[1] * (values.dim() - real.dim()))
        return gathered


def _request(stored: Mapping[str, Any]) -> SignalRequest:
    """Read a request from its JSON."""
    layers = [LayerSignal(Signal(kind), *rest) for kind, *rest in stored["layers"]]
    lists: dict[str, Any] = {"layers": tuple(layers), "temperatures": tuple(stored["temperatures"])}
    if stored["tokens"] is not None:
        lists["tokens"] = tuple(stored["tokens"])
    return SignalRequest(**{**stored, **lists})
