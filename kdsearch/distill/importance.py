"""How much each part of a teacher does on a calibration batch: what pruning goes by.

After Minitron (Muralidharan et al. 2024, section 2.2): a unit's importance is the L2 norm over the
rows of the mean over a row's tokens of its absolute activation; a layer's is 1 - cos(in, out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from kdsearch.distill.passes import collate, forward, source_mask
from kdsearch.distill.phases import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from kdsearch.distill.phases import Progress
    from kdsearch.plugin import Preparation

CALIBRATION_ROWS = 256
"""Minitron finds 1,024 samples enough, and that the choice of units hardly moves from 256 on."""

IMPORTANCE = "importance.safetensors"
"""The file of a ladder's preparation."""

BATCH = 16
"""Rows in one forward pass."""

LAYER = re.compile(r"\b(?:layers|block)\.\d+$")
"""The modules whose input and output are compared."""

FEED_FORWARD = re.compile(r"\b(?:mlp\.down_proj|DenseReluDense\.wo)$")
"""What reads the feed-forward units, in Llama's and in T5's naming."""

ATTENTION = re.compile(r"(?:self_attn\.o_proj|Attention\.o)$")
"""What reads the attention heads."""

NORM = re.compile(r"norm$")
"""What reads the hidden width, and hands it on."""


@dataclass(frozen=True)
class Importance:
    """The importance of layers, feed-forward units, heads and hidden channels, by module."""

    hidden: Tensor
    """(width,): summed over the outputs of all layer norms."""
    layers: dict[str, Tensor] = field(default_factory=dict)
    """By layer, a scalar: 1 - cos(in, out), the mean over tokens."""
    units: dict[str, Tensor] = field(default_factory=dict)
    """By feed-forward module: (units,)."""
    heads: dict[str, Tensor] = field(default_factory=dict)
    """By attention module: (heads,), of the norm of each head's output."""
    energies: dict[str, Tensor] = field(default_factory=dict)
    """By layer norm: (width,), the mean square of each channel that it reads."""

    def write(self, file: Path) -> None:
        """Write to a safetensors file."""
        tensors = {"hidden": self.hidden}
        for kind in ("layers", "units", "heads", "energies"):
            tensors |= {f"{kind}:{name}": value for name, value in getattr(self, kind).items()}
        save_file({name: value.contiguous() for name, value in tensors.items()}, file)

    @classmethod
    def read(cls, file: Path) -> Importance:
        """Read what `write` wrote."""
        tensors = load_file(file)
        found = cls(tensors.pop("hidden"))
        for name, value in tensors.items():
            kind, _, module = name.partition(":")
            getattr(found, kind)[module] = value
        return found


def calibration_rows(count: int) -> list[int]:
    """Return which of so many rows are read, evenly spread."""
    taken = min(count, CALIBRATION_ROWS)
    return [place * count // taken for place in range(taken)]


def prepare(given: Preparation) -> int:
    """Measure a teacher's importance on its training rows and write it; return the tokens read."""
    rows = calibration_rows(len(given.sources))
    sources, targets = [given.sources[row] for row in rows], [given.targets[row] for row in rows]
    measure(given.model, sources, targets, given.progress).write(given.folder / IMPORTANCE)
    return sum(map(len, [*sources, *targets]))


@torch.inference_mode()
def measure(
    model: Any,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    progress: Progress = unheard,
) -> Importance:
    """Run a model over rows and return the importance of its parts.

    Args:
        model: An encoder-decoder, or a Llama-type causal model.
        sources: Token ids of the prompts.
        targets: Token ids of the answers, one for each prompt.
        progress: Told how many rows have been read.
    """
    was_training = model.training
    model.eval()
    meter = _Meter(model)
    causal = not model.config.is_encoder_decoder
    try:
        for start in range(0, len(sources), BATCH):
            batch = collate(
                sources[start : start + BATCH],
                targets[start : start + BATCH],
                model.config.pad_token_id or 0,
                causal=causal,
            )
            on_device = {name: values.to(model.device) for name, values in batch.items()}
            read = on_device["attention_mask"].bool() if causal else source_mask(on_device)
            meter.real = {"encoder": read, "decoder": read if causal else on_device["labels"] >= 0}
            forward(model, on_device)
            progress(min(start + BATCH, len(sources)), len(sources))
    finally:
        meter.release()
        model.train(was_training)
    return meter.result()


class _Meter:
    """Hooks of one model, and what they have summed."""

    def __init__(self, model: Any) -> None:
        config = model.config
        if config.is_encoder_decoder:
            self.head_width = config.d_kv
        else:
            heads = config.num_attention_heads
            self.head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.real: dict[str, Tensor] = {}
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.tokens: dict[str, int] = {}
        self.handles = list(self._hooks(model))

    def release(self) -> None:
        """Take the hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def result(self) -> Importance:
        """Return what was measured."""
        parts: dict[str, dict[str, Tensor]] = {
            kind: {name: value.sqrt().cpu() for name, value in self.sums[kind].items()}
            for kind in ("units", "heads", "outputs")
        }
        means: dict[str, dict[str, Tensor]] = {
            kind: {name: (value / self.tokens[name]).cpu() for name, value in sums.items()}
            for kind, sums in self.sums.items()
            if kind in ("layers", "energies")
        }
        hidden = torch.stack(list(parts["outputs"].values())).sum(0)
        return Importance(
            hidden, means["layers"], parts["units"], parts["heads"], means["energies"]
        )

    def _hooks(self, model: Any) -> Iterator[Any]:
        kinds: list[tuple[re.Pattern[str], Callable[[str, Tensor, Tensor], None]]] = [
            (LAYER, self._layer),
            (FEED_FORWARD, self._units),
            (ATTENTION, self._heads),
            (NORM, self._norm),
        ]
        for name, module in model.named_modules():
            for pattern, told in kinds:
                if pattern.search(name):
                    yield module.register_forward_hook(_hook(name, told))

    def _layer(self, name: str, read: Tensor, written: Tensor) -> None:
        alike = torch.cosine_similarity(read.float(), written.float(), dim=-1)
        real = self._real(name)
        self._add("layers", name, (1.0 - alike)[real].sum())
        self._count(name, real)

    def _units(self, name: str, read: Tensor, written: Tensor) -> None:
        self._add("units", name.rpartition(".")[0], self._over_rows(name, read.float().abs()))

    def _heads(self, name: str, read: Tensor, written: Tensor) -> None:
        norms = read.float().unflatten(-1, (-1, self.head_width)).norm(dim=-1)
        self._add("heads", name.rpartition(".")[0], self._over_rows(name, norms))

    def _norm(self, name: str, read: Tensor, written: Tensor) -> None:
        real = self._real(name)
        self._add("outputs", name, self._over_rows(name, written.float().abs()))
        self._add("energies", name, read.float()[real].square().sum(0))
        self._count(name, real)

    def _real(self, name: str) -> Tensor:
        return self.real["encoder" if name.startswith("encoder") else "decoder"]

    def _over_rows(self, name: str, values: Tensor) -> Tensor:
        """Sum over rows the squared mean over tokens of (rows, tokens, channels)."""
        real = self._real(name)[..., None]
        means = (values * real).sum(1) / real.sum(1)
        return means.square().sum(0)

    def _add(self, kind: str, name: str, value: Tensor) -> None:
        sums = self.sums.setdefault(kind, {})
        sums[name] = sums[name] + value if name in sums else value

    def _count(self, name: str, real: Tensor) -> None:
        self.tokens[name] = self.tokens.get(name, 0) + int(real.sum())


def _hook(name: str, told: Callable[[str, Tensor, Tensor], None]) -> Any:
    def hook(module: Any, read: Any, written: Any) -> None:
        told(name, read[0], written[0] if isinstance(written, tuple) else written)

    return hook
