"""What a teacher says of a batch: the same whether it is stored first or read at once.

A signal has a name, such as `top_logits` or `hidden_states/decoder/6`, and one value for each
token of one axis of a row, or for each pair of tokens of two axes.

To add a kind of signal of single layers: name it in `Signal`, let `passes.forward` keep it when it
is asked for, and enter here, in `LAYER_KINDS`, how a layer is read off the pass and along which
axes it lies. Stores, gathering, batches and `LossInputs.signals[kind][stack][layer]` follow.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from kdsearch.distill.passes import IGNORED, Pass, forward
from kdsearch.distill.top_logits import entries, pack
from kdsearch.plugin import LayerSignal, Signal, SignalRequest, TopLogits
from kdsearch.spec.teachers import TeacherType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kdsearch.distill.attention import Attention


class Axis(StrEnum):
    """The tokens along which a signal lies."""

    TARGET = "target"
    """The answer's, each where it is predicted."""
    READ = "read"
    """All that `input_ids` hold: an encoder-decoder's prompt, a causal model's prompt and answer
    without its last token."""


class Told(NamedTuple):
    """One signal of a batch."""

    values: Tensor
    """(batch, tokens of each axis, ...); meaningless where the mask of an axis is false."""
    axes: tuple[Axis, ...]


def _hidden_states(said: Pass, stack: str, layer: int) -> Told:
    """Read a layer's states."""
    axis = Axis.READ if stack == "encoder" else Axis.TARGET
    return Told(said.states[stack][layer], (axis,))


def _attention_relations(said: Pass, stack: str, layer: int) -> Told:
    """Read a layer's queries, keys and values; the relations are made of them where they count.

    For each token this is some times the width, and not the number of tokens of its row.
    """
    attention = _attention(said)
    return Told(attention.vectors(stack, layer), (_attended(attention, stack),))


def _attention_scores(said: Pass, stack: str, layer: int) -> Told:
    """Read a layer's scores of attention."""
    attention = _attention(said)
    return Told(attention.scores(stack, layer), (_attended(attention, stack),) * 2)


def _attention(said: Pass) -> Attention:
    if said.attention is None:
        raise ValueError("the pass has kept no attention")
    return said.attention


def _attended(attention: Attention, stack: str) -> Axis:
    """Return the tokens among which a stack attends."""
    answers = attention.model.config.is_encoder_decoder and stack == "decoder"
    return Axis.TARGET if answers else Axis.READ


SORTED = Signal.SORTED_PROBABILITIES.value

LAYER_KINDS: Mapping[Signal, Callable[[Pass, str, int], Told]] = {
    Signal.HIDDEN_STATES: _hidden_states,
    Signal.ATTENTION_RELATIONS: _attention_relations,
    Signal.ATTENTION_SCORES: _attention_scores,
}
"""How one layer's signal of each kind is read off a pass that has kept it, be it of a teacher or of
a student."""

ATTENTION_KINDS = frozenset({Signal.ATTENTION_RELATIONS, Signal.ATTENTION_SCORES})
"""Those for which a pass keeps its attention."""


def teacher_signals(
    model: Any, batch: Mapping[str, Tensor], request: SignalRequest
) -> dict[str, Told]:
    """Return by name what a teacher says of a batch.

    Args:
        model: The teacher, in evaluation mode.
        batch: Of `passes.collate`, on the model's device.
        request: Which signals.

    Returns:
        `top_logits` (batch, target, vocabulary), or the tensors of `top_logits.pack` where only
        `top_k` are kept, and `kind/stack/layer` of each layer asked for.
    """
    kinds = {wanted.kind for wanted in request.layers}
    with inference(model, request.dtype):
        said = forward(
            model,
            batch,
            states=Signal.HIDDEN_STATES in kinds,
            attention=bool(kinds & ATTENTION_KINDS),
        )
    told: dict[str, Told] = {}
    kept = slice(request.vocabulary) if request.tokens is None else list(request.tokens)
    logits = said.logits[..., kept]
    if request.top_logits and _partial(request, logits.shape[-1]):
        packed = pack(logits, request.top_k or 0, request.temperatures)
        told = {name: Told(values, (Axis.TARGET,)) for name, values in packed.items()}
    elif request.top_logits:
        told["top_logits"] = Told(logits.float(), (Axis.TARGET,))
    if request.largest:
        count = min(request.largest, logits.shape[-1])
        largest = logits.float().softmax(-1).topk(count, dim=-1).values
        real = (batch["labels"] != IGNORED)[..., None]
        told[SORTED] = Told(largest.masked_fill(~real, 0.0), (Axis.TARGET,))
    for wanted in request.layers:
        values, axes = LAYER_KINDS[wanted.kind](said, wanted.stack, wanted.layer)
        told[_name(wanted)] = Told(values.half() if request.half else values.float(), axes)
    return told


@contextmanager
def inference(model: Any, dtype: str = TeacherType.AUTO) -> Iterator[None]:
    """Run a frozen teacher as fast as its device can, under `auto`: in bf16 where a GPU has it."""
    able = model.device.type == "cuda" and torch.cuda.is_bf16_supported()
    faster = able and dtype == TeacherType.AUTO
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=faster):
        yield


def masks(batch: Mapping[str, Tensor]) -> dict[Axis, Tensor]:
    """Return which tokens of a batch are real, (batch, tokens), by axis."""
    return {
        Axis.TARGET: batch["labels"] != IGNORED,
        Axis.READ: batch["attention_mask"].bool(),
    }


def lengths(source: Sequence[int], target: Sequence[int], *, causal: bool) -> dict[Axis, int]:
    """Return how many tokens a row has along each axis."""
    read = len(source) + len(target) - 1 if causal else len(source)
    return {Axis.TARGET: len(target), Axis.READ: read}


def assembled(tensors: Mapping[str, Tensor], request: SignalRequest) -> dict[str, Any]:
    """Return signals by name as `LossInputs.signals` hold them, in nested plain mappings.

    Only `top_logits` still is a mapping of its fields: plain tensors travel between devices.
    """
    signals: dict[str, Any] = {}
    if "top_logits" in tensors:
        signals["top_logits"] = {"logits": tensors["top_logits"]}
    if "top_values" in tensors:
        tails = tensors["top_tails"]
        signals["top_logits"] = {
            "logits": tensors["top_values"],
            "ids": entries(tensors["top_ids"]),
            "log_tails": {
                str(temperature): tails[..., place]
                for place, temperature in enumerate(request.temperatures)
            },
        }
    if SORTED in tensors:
        signals[SORTED] = tensors[SORTED]
    for wanted in request.layers:
        stacks = signals.setdefault(wanted.kind.value, {})
        stacks.setdefault(wanted.stack, {})[wanted.layer] = tensors[_name(wanted)]
    return signals


def as_read(signals: Mapping[str, Any]) -> dict[str, Any]:
    """Return signals as losses read them: `top_logits` made from the fields that have travelled."""
    read = dict(signals)
    if "top_logits" in read:
        fields = dict(read["top_logits"])
        tails = fields.pop("log_tails", {})
        kept = {float(temperature): tail for temperature, tail in tails.items()}
        read["top_logits"] = TopLogits(**fields, log_tails=kept)
    return read


def _name(wanted: LayerSignal) -> str:
    return f"{wanted.kind.value}/{wanted.stack}/{wanted.layer}"


def _partial(request: SignalRequest, vocabulary: int) -> bool:
    """Whether fewer logits are kept than there are."""
    return request.top_k is not None and request.top_k < vocabulary
