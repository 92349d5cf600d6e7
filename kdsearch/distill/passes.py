"""One forward pass in the form that losses, signals and answers share, for each kind of model.

An encoder-decoder reads the source by its encoder and predicts targets by its decoder. A causal
model reads source and target in one sequence; its head is computed at target positions alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as functional
from torch import Tensor

from kdsearch.distill.attention import Attention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Item = TypeVar("Item")

IGNORED = -100
"""The label of positions that are no target, as in torch's cross-entropy."""

LARGEST_BATCH = 128
"""Rows in one pass without gradients."""
MOST_TOKENS = 16_384
"""Tokens in one such pass, padding included; it bounds memory, whatever the prompts."""


@dataclass(frozen=True)
class Pass:
    """What a model says of a batch."""

    logits: Tensor
    """(batch, target, vocabulary): the prediction of each target token."""
    states: Mapping[str, Sequence[Tensor]]
    """By stack, then layer: (batch, tokens, width). `encoder` at source tokens, `decoder` where
    each target token is predicted. Empty unless asked for; causal models have no `encoder`."""
    attention: Attention | None = None
    """Of all layers, if asked for. A causal model's is over all that `input_ids` hold."""

    def of(self, rows: slice, batch: Mapping[str, Tensor]) -> Pass:
        """Return what was said of one of the batches that `concatenated` put together.

        Args:
            rows: Where it stands in all of them.
            batch: The same, by itself.
        """
        read, target = batch["input_ids"].shape[1], batch["labels"].shape[1]
        states = {
            stack: [layer[rows, : read if stack == "encoder" else target] for layer in layers]
            for stack, layers in self.states.items()
        }
        attention = self.attention and self.attention.of(rows, read, target)
        return Pass(self.logits[rows, :target], states, attention)


def collate(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    padding: int,
    *,
    causal: bool,
) -> dict[str, Tensor]:
    """Pad rows to a batch, on the right.

    Masks are made from lengths, never by comparing ids with the padding id: T5 starts its targets
    with that very id, and many causal models end them with it.

    Args:
        sources: Token ids of the prompts.
        targets: Token ids of the answers.
        padding: The id that fills `input_ids`.
        causal: Whether source and target make one sequence.

    Returns:
        `input_ids` and `attention_mask` (batch, tokens), `labels` (batch, target) with -100 where
        padded, and for causal models `predicting` (batch, target): the position whose output
        predicts each target token.
    """
    read = [
        [*source, *target[:-1]] if causal else source
        for source, target in zip(sources, targets, strict=True)
    ]
    batch = {
        "input_ids": pad(read, padding),
        "attention_mask": pad([[1] * len(ids) for ids in read], 0),
        "labels": pad(targets, IGNORED),
    }
    if causal:
        positions = [
            range(len(source) - 1, len(source) - 1 + len(target))
            for source, target in zip(sources, targets, strict=True)
        ]
        batch["predicting"] = pad([list(each) for each in positions], 0)
    return batch


def concatenated(batches: Sequence[Mapping[str, Tensor]], padding: int) -> dict[str, Tensor]:
    """Return batches of `collate` as one, padded to the longest."""
    fill = {"input_ids": padding, "labels": IGNORED}
    found = {}
    for name in batches[0]:
        longest = max(batch[name].shape[1] for batch in batches)
        parts = [
            functional.pad(
                batch[name], (0, longest - batch[name].shape[1]), value=fill.get(name, 0)
            )
            for batch in batches
        ]
        found[name] = torch.cat(parts)
    return found


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Stack rows of ids to (rows, longest), padded on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def batches(items: Sequence[Item], length: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Yield items in batches for passes without gradients, longest first, so that little is padded.

    Args:
        items: In any order.
        length: How many tokens an item takes.
    """
    ordered = sorted(items, key=length, reverse=True)
    start = 0
    while start < len(ordered):
        fitting = max(1, MOST_TOKENS // max(1, length(ordered[start])))
        end = start + min(LARGEST_BATCH, fitting)
        yield ordered[start:end]
        start = end


def forward(
    model: Any, batch: Mapping[str, Tensor], *, states: bool = False, attention: bool = False
) -> Pass:
    """Run a model on a batch of `collate`.

    Args:
        model: An encoder-decoder, or a causal model whose head is linear.
        batch: On the model's device.
        states: Whether hidden states are kept.
        attention: Whether queries, keys and values of self-attention are kept.
    """
    run = _encoder_decoder if model.config.is_encoder_decoder else _causal
    if not attention:
        return run(model, batch, states)
    kept = Attention(model)
    with kept.recorded():
        return replace(run(model, batch, states), attention=kept)


def source_mask(batch: Mapping[str, Tensor]) -> Tensor:
    """Return which of `input_ids` are real source tokens, (batch, tokens)."""
    mask = batch["attention_mask"].bool()
    if "predicting" not in batch:
        return mask
    lengths = batch["predicting"][:, :1] + 1
    return mask & (torch.arange(mask.shape[1], device=mask.device) < lengths)


def _encoder_decoder(model: Any, batch: Mapping[str, Tensor], states: bool) -> Pass:
    outputs = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(batch["labels"]),
        output_hidden_states=states,
        use_cache=False,
    )
    kept: dict[str, Sequence[Tensor]] = {}
    if states:
        kept = {"encoder": outputs.encoder_hidden_states, "decoder": outputs.decoder_hidden_states}
    return Pass(outputs.logits, kept)


def _causal(model: Any, batch: Mapping[str, Tensor], states: bool) -> Pass:
    outputs = model.base_model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        output_hidden_states=states,
        use_cache=False,
    )
    at = batch["predicting"]
    rows = torch.arange(len(at), device=at.device)[:, None]
    logits = model.get_output_embeddings()(outputs.last_hidden_state[rows, at])
    kept: dict[str, Sequence[Tensor]] = {}
    if states:
        kept = {"decoder": [layer[rows, at] for layer in outputs.hidden_states]}
    return Pass(logits, kept)
