"""The teacher's signals, computed once and read by every trial.

A store is one safetensors file: `keys` (rows, 16 bytes), `target_offsets` and `source_offsets`
(rows + 1), and for each signal one tensor of all tokens, end to end. Trials map the file and
gather a batch with one index operation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdsearch.distill.data import Rows, by_length
from kdsearch.distill.passes import IGNORED, collate, forward, source_mask
from kdsearch.distill.top_logits import entries, pack
from kdsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

FORMAT = 2
"""Raised whenever the layout of a store changes."""


@dataclass(frozen=True)
class SignalRequest:
    """What the losses of a spec ask of the teacher."""

    top_logits: bool = False
    """Logits at each target token: of the whole vocabulary in float32, or the `top_k` largest."""
    hidden_states: tuple[str, ...] = ()
    """The stacks (`encoder`, `decoder`) whose last states are stored, float32."""
    top_k: int | None = None
    """How many logits are kept; the whole vocabulary unless given."""
    temperatures: tuple[float, ...] = ()
    """At which the mass of the others is kept."""

    def __bool__(self) -> bool:
        return self.top_logits or bool(self.hidden_states)


def fingerprint(folder: Path) -> str:
    """Hash the weights of a model folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@torch.inference_mode()
def teacher_pass(
    model: PreTrainedModel, rows: Rows, request: SignalRequest, batch_size: int = 64
) -> dict[str, Tensor]:
    """Run the teacher once over rows and return its signals, all tokens end to end.

    Args:
        model: The teacher; put in evaluation mode.
        rows: What it reads; visited in order of length, returned in the order given.
        request: Which signals.
        batch_size: Rows in one forward pass.

    Returns:
        `top_logits` (target tokens, vocabulary) or the tensors of `pack`, `encoder_states`
        (source tokens, width), `decoder_states` (target tokens, width), as far as asked for.
    """
    model.train(False)
    kept: dict[str, list[Tensor]] = {}
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
        for name, values, mask in _forward(model, batch, request):
            slots = kept.setdefault(name, [torch.empty(0)] * len(order))
            for place, row in enumerate(taken):
                slots[row] = values[place][mask[place]].cpu()
    return {name: torch.cat(pieces) for name, pieces in kept.items()}


def _forward(
    model: PreTrainedModel, batch: dict[str, Tensor], request: SignalRequest
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield each asked signal of a batch with the mask of its real tokens."""
    on_device = {name: values.to(model.device) for name, values in batch.items()}
    outputs = forward(model, on_device, states=bool(request.hidden_states))
    target = on_device["labels"] != IGNORED
    if request.top_logits and request.top_k:
        for name, values in pack(outputs.logits, request.top_k, request.temperatures).items():
            yield name, values, target
    elif request.top_logits:
        yield "top_logits", outputs.logits.float(), target
    if "encoder" in request.hidden_states:
        yield "encoder_states", outputs.states["encoder"][-1].float(), source_mask(on_device)
    if "decoder" in request.hidden_states:
        yield "decoder_states", outputs.states["decoder"][-1].float(), target


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
            tensors = teacher_pass(model, rows, request)
            tensors["keys"] = torch.tensor([list(key) for key in keys], dtype=torch.uint8)
            for side, texts in (("source", rows.sources), ("target", rows.targets)):
                lengths = torch.tensor([0, *map(len, texts)])
                tensors[f"{side}_offsets"] = lengths.cumsum(0)
            partial = path.with_suffix(".partial")
            metadata = {"format": str(FORMAT), "teacher": weights, "request": request_text}
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
        self._temperatures = json.loads(metadata["request"])["temperatures"]
        self._rows = {bytes(key): row for row, key in enumerate(self._tensors["keys"].numpy())}

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
        """Return the signals of a batch, padded on the right with zeros.

        Returns:
            `top_logits`, the fields of a `TopLogits`, and `hidden_states` by stack
            (batch, tokens, width), as far as stored.
        """
        index = torch.as_tensor(rows)
        signals: dict[str, Any] = {}
        if "top_logits" in self._tensors:
            signals["top_logits"] = {"logits": self._padded("top_logits", "target", index)}
        if "top_values" in self._tensors:
            tails = self._padded("top_tails", "target", index)
            signals["top_logits"] = {
                "logits": self._padded("top_values", "target", index),
                "ids": entries(self._padded("top_ids", "target", index)),
                "log_tails": {
                    str(temperature): tails[..., place]
                    for place, temperature in enumerate(self._temperatures)
                },
            }
        states = {
            stack: self._padded(f"{stack}_states", side, index)
            for stack, side in (("encoder", "source"), ("decoder", "target"))
            if f"{stack}_states" in self._tensors
        }
        return {**signals, "hidden_states": states} if states else signals

    def _padded(self, name: str, side: str, rows: Tensor) -> Tensor:
        offsets = self._tensors[f"{side}_offsets"]
        starts = offsets[rows]
        lengths = offsets[rows + 1] - starts
        columns = torch.arange(int(lengths.max()))
        real = columns < lengths[:, None]
        places = torch.where(real, starts[:, None] + columns, 0)
        gathered: Tensor = self._tensors[name][places] * real[..., None]
        return gathered
