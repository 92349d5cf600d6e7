"""Cuts students out of a teacher: layers, hidden width, feed-forward units, heads and tokens.

One table says along which axes each weight lies, and one function slices them all.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.importance import IMPORTANCE, Importance
from kdsearch.distill.loading import load_model, load_tokenizer
from kdsearch.errors import ModelError
from kdsearch.plugin import Student
from kdsearch.plugin.vocabulary import TOKENIZER, read_teacher_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdsearch.plugin import ModelFacts, Size


class Axis(StrEnum):
    """What a dimension of a weight counts."""

    TOKENS = "tokens"
    HIDDEN = "hidden"
    UNITS = "units"
    """Of one feed-forward module."""
    QUERIES = "queries"
    """The query heads of one attention module, each head's width after the other."""
    KEYS = "keys"
    """Its key-value groups, likewise."""
    HEADS = "heads"
    """Its heads, one entry each."""
    OTHER = "other"
    """What is never pruned."""


AXES: Mapping[str, Sequence[tuple[re.Pattern[str], tuple[Axis, ...]]]] = {
    "llama": [
        (re.compile(r"(embed_tokens|lm_head)\.weight$"), (Axis.TOKENS, Axis.HIDDEN)),
        (re.compile(r"q_proj\.(weight|bias)$"), (Axis.QUERIES, Axis.HIDDEN)),
        (re.compile(r"[kv]_proj\.(weight|bias)$"), (Axis.KEYS, Axis.HIDDEN)),
        (re.compile(r"o_proj\.(weight|bias)$"), (Axis.HIDDEN, Axis.QUERIES)),
        (re.compile(r"(gate|up)_proj\.(weight|bias)$"), (Axis.UNITS, Axis.HIDDEN)),
        (re.compile(r"down_proj\.(weight|bias)$"), (Axis.HIDDEN, Axis.UNITS)),
        (re.compile(r"norm\.weight$"), (Axis.HIDDEN,)),
    ],
    "t5": [
        (re.compile(r"(shared|embed_tokens|lm_head)\.weight$"), (Axis.TOKENS, Axis.HIDDEN)),
        (re.compile(r"Attention\.[qkv]\.weight$"), (Axis.QUERIES, Axis.HIDDEN)),
        (re.compile(r"Attention\.o\.weight$"), (Axis.HIDDEN, Axis.QUERIES)),
        (re.compile(r"relative_attention_bias\.weight$"), (Axis.OTHER, Axis.HEADS)),
        (re.compile(r"\.wi(_[01])?\.weight$"), (Axis.UNITS, Axis.HIDDEN)),
        (re.compile(r"\.wo\.weight$"), (Axis.HIDDEN, Axis.UNITS)),
        (re.compile(r"layer_norm\.weight$"), (Axis.HIDDEN,)),
    ],
}
"""By family, the axes of each weight; a bias lies along its weight's first."""

LAYER = re.compile(r"^(.*\b(?:layers|block)\.)(\d+)(\..+)$")
"""Splits a weight's name at its layer's number, in Llama's and in T5's naming."""

POSITIONS = "layer.0.SelfAttention.relative_attention_bias.weight"
"""T5 keeps the position biases of a whole stack in its block 0 alone."""


@dataclass(frozen=True)
class Kept:
    """What a student keeps; None, or a module that is not named, keeps everything."""

    layers: Mapping[str, Sequence[int]]
    """By stack (`encoder`, `decoder`): the teacher's layers, in order."""
    hidden: Tensor | None = None
    units: Mapping[str, Tensor] = field(default_factory=dict)
    """By feed-forward module of the teacher."""
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    """By attention module of the teacher: query heads, whole groups of them."""
    tokens: Tensor | None = None
    """The teacher's token ids, by the student's."""
    norms: Mapping[str, float] = field(default_factory=dict)
    """By layer norm of the teacher: what its weight is multiplied by."""


def build_cut(size: Size, teacher: ModelFacts, prepared: Path | None) -> Student:
    """Build the student that a size's recipe describes from the teacher's weights.

    Args:
        size: Its recipe names `changes` of the teacher's configuration, the `layers` to keep (None
            keeps the most important ones), whether units go `by_importance`, and whether the
            vocabulary is `trimmed`.
        teacher: With the folder it is read from.
        prepared: Where the ladder's preparation wrote what the recipe asks for.
    """
    if teacher.path is None:
        raise ModelError("the teacher has no folder to take weights from")
    source, folder = load_model(Path(teacher.path)), Path(teacher.path)
    kept = Kept(_stacks(source, size.recipe["layers"] or range(teacher.layers)))
    if size.recipe["by_importance"]:
        if prepared is None:
            raise ModelError("the ladder was not prepared: the importance of units is not there")
        importance = Importance.read(prepared / IMPORTANCE)
        kept = choose(source, size.recipe["changes"], size.recipe["layers"], importance)
    if size.recipe["trimmed"]:
        if prepared is None:
            raise ModelError("the ladder was not prepared: the trimmed vocabulary is not there")
        kept = replace(kept, tokens=torch.tensor(read_teacher_ids(prepared)))
        folder = prepared / TOKENIZER
    return Student(pruned(source, size.recipe["changes"], kept), load_tokenizer(folder))


def cut(source: Any, layers: Sequence[int]) -> Any:
    """Return a model of the same kind with only some layers of each stack, in order."""
    names: tuple[str, ...] = ("num_layers", "num_decoder_layers")
    if not source.config.is_encoder_decoder:
        names = ("num_hidden_layers",)
    return pruned(source, dict.fromkeys(names, len(layers)), Kept(_stacks(source, layers)))


def choose(
    source: Any,
    changes: Mapping[str, Any],
    layers: Sequence[int] | None,
    importance: Importance,
) -> Kept:
    """Choose the most important parts of a teacher, as many as a student keeps.

    The heads of T5's self-attention are the same in all layers of a stack, which share one table of
    position biases. Where channels go, each layer norm is scaled so that the kept ones come out as
    large as they did: their mean square is not that of all.

    Args:
        source: The teacher.
        changes: Of its configuration, by key.
        layers: Which to keep; None keeps the most important ones.
        importance: As measured on the teacher.
    """
    config, t5 = source.config, bool(source.config.is_encoder_decoder)
    wide, unit_key, head_key = (
        ("d_model", "d_ff", "num_heads")
        if t5
        else ("hidden_size", "intermediate_size", "num_attention_heads")
    )
    depth = changes["num_layers" if t5 else "num_hidden_layers"]
    stacks = _stacks(source, layers or ())
    if layers is None:
        stacks = {stack: _top_layers(importance, stack, depth, t5) for stack in stacks}
    width, units, heads = changes[wide], changes[unit_key], changes[head_key]
    whole = getattr(config, wide)
    hidden = _top(importance.hidden, width) if width < whole else None
    norms = {}
    if hidden is not None:
        for name, energy in importance.energies.items():
            norms[name] = float((energy[hidden].mean() / energy.mean()).sqrt())
        if t5 and config.scale_decoder_outputs:  # the tied head divides by the root of the width
            norms["decoder.final_layer_norm"] *= (width / whole) ** 0.5
    kept_units = {
        name: _top(found, units)
        for name, found in importance.units.items()
        if units < getattr(config, unit_key)
    }
    kept_heads = {}
    if heads < getattr(config, head_key):
        group = 1 if t5 else config.num_attention_heads // config.num_key_value_heads
        for name, found in _shared(importance.heads, stacks, together=t5).items():
            groups = _top(found.unflatten(0, (-1, group)).sum(1), heads // group)
            kept_heads[name] = (groups[:, None] * group + torch.arange(group)).flatten()
    return Kept(stacks, hidden, kept_units, kept_heads, norms=norms)


def pruned(source: Any, changes: Mapping[str, Any], kept: Kept) -> Any:
    """Return a model of the same kind that holds the kept parts of a teacher's weights.

    Args:
        source: The teacher.
        changes: Of its configuration, by key.
        kept: Everything outside of it goes.
    """
    config = copy.deepcopy(source.config)
    for key, value in changes.items():
        setattr(config, key, value)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in kept.layers["decoder"]]
    student = type(source)(config)
    head, table = source.get_output_embeddings(), source.get_input_embeddings()
    own = student.get_output_embeddings()
    if head.weight is not table.weight and own.weight is student.get_input_embeddings().weight:
        untied = torch.nn.Linear(own.in_features, own.out_features, bias=head.bias is not None)
        student.set_output_embeddings(untied)
    student.load_state_dict(kept_weights(source, kept))
    if kept.tokens is not None:
        _renumber_special(student, kept.tokens.tolist())
    return student


def kept_weights(source: Any, kept: Kept) -> dict[str, Tensor]:
    """Return the weights of a student, layers under their new numbers."""
    slicer = _Slicer(source.config, kept)
    chosen = {}
    for name, value in source.state_dict().items():
        match = LAYER.match(name)
        if match is None:
            chosen[name] = slicer(name, value)
            continue
        layers = list(kept.layers["encoder" if name.startswith("encoder") else "decoder"])
        number = int(match[2])
        if number in layers:
            new = f"{match[1]}{layers.index(number)}{match[3]}"
            chosen.setdefault(new, slicer(name, value))
        if number == 0 and match[3].endswith(POSITIONS):
            chosen[name] = slicer(name, value)
    return chosen


class _Slicer:
    """Takes the kept part of each weight."""

    def __init__(self, config: Any, kept: Kept) -> None:
        self.kept = kept
        self.axes = AXES[config.model_type]
        if config.is_encoder_decoder:
            self.head_width, self.group = config.d_kv, 1
        else:
            heads = config.num_attention_heads
            self.head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
            self.group = heads // config.num_key_value_heads

    def __call__(self, name: str, value: Tensor) -> Tensor:
        axes = next((axes for pattern, axes in self.axes if pattern.search(name)), ())
        module = name.rpartition(".")[0]
        for dimension, axis in enumerate(axes[: value.dim()]):
            index = self._index(axis, module)
            if index is not None:
                value = value.index_select(dimension, index)
        return value * self.kept.norms[module] if module in self.kept.norms else value

    def _index(self, axis: Axis, module: str) -> Tensor | None:
        owner = module.rpartition(".")[0]
        heads = self.kept.heads.get(owner)
        match axis:
            case Axis.TOKENS:
                return self.kept.tokens
            case Axis.HIDDEN:
                return self.kept.hidden
            case Axis.UNITS:
                return self.kept.units.get(owner)
            case Axis.HEADS:
                return heads
            case Axis.QUERIES:
                return None if heads is None else self._widths(heads)
            case Axis.KEYS:
                return None if heads is None else self._widths(heads[:: self.group] // self.group)
            case Axis.OTHER:
                return None

    def _widths(self, heads: Tensor) -> Tensor:
        entries: Tensor = heads[:, None] * self.head_width + torch.arange(self.head_width)
        return entries.flatten()


def _stacks(source: Any, layers: Sequence[int]) -> dict[str, Sequence[int]]:
    """Keep the same layers in each stack."""
    names = ("encoder", "decoder") if source.config.is_encoder_decoder else ("decoder",)
    return dict.fromkeys(names, layers)


def _top(found: Tensor, count: int) -> Tensor:
    """Return the places of the largest values, in order."""
    places: Tensor = found.argsort(descending=True, stable=True)[:count].sort().values
    return places


def _top_layers(importance: Importance, stack: str, count: int, t5: bool) -> list[int]:
    names = [name for name in importance.layers if not t5 or name.startswith(stack)]
    found = torch.stack([importance.layers[name] for name in names])
    chosen: list[int] = _top(found, count).tolist()
    return chosen


def _shared(
    heads: Mapping[str, Tensor], stacks: Mapping[str, Sequence[int]], *, together: bool
) -> dict[str, Tensor]:
    """Return the importance of heads; that of self-attention summed over a T5 stack's layers."""
    if not together:
        return dict(heads)
    found = {}
    for name, own in heads.items():
        stack, kind = name.partition(".")[0], name.rpartition(".")[2]
        if kind == "SelfAttention":
            block = f"{stack}.block.{{}}.layer.0.SelfAttention"
            own = torch.stack([heads[block.format(layer)] for layer in stacks[stack]]).sum(0)
        found[name] = own
    return found


def _renumber_special(student: Any, teacher_ids: Sequence[int]) -> None:
    """Give the special tokens that a model's configuration names their new ids."""
    places = {old: new for new, old in enumerate(teacher_ids)}
    for holder in (student.config, student.generation_config):
        for key, old in list(vars(holder).items()):
            if key.endswith("_token_id") and isinstance(old, int):
                setattr(holder, key, places[old])
            elif key.endswith("_token_id") and isinstance(old, list):
                setattr(holder, key, [places[each] for each in old])
