"""What the self-attention of a model computes on the way: queries, keys, values and scores.

Transformers returns none of these, so forward hooks on the projections keep them while a model
runs. Scores are computed from them where they are asked for, before any mask and softmax.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Attention:
    """The self-attention of every layer in one pass.

    Args:
        model: A T5 or Llama-type model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.blocks = _self_attention(model)
        self._kept: dict[nn.Module, Tensor] = {}

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep what the projections return while the model runs."""
        hooks = [
            projection.register_forward_hook(self._keep)
            for blocks in self.blocks.values()
            for block in blocks
            for projection in _projections(block)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, projection: nn.Module, _: Any, values: Tensor) -> None:
        self._kept[projection] = values

    def of(self, rows: slice, read: int, target: int) -> Attention:
        """Return the attention of some rows, which have so many tokens to read and to predict."""
        found = Attention(self.model)
        for stack, blocks in self.blocks.items():
            answers = self.model.config.is_encoder_decoder and stack == "decoder"
            for projection in (each for block in blocks for each in _projections(block)):
                kept = self._kept[projection]
                found._kept[projection] = kept[rows, : target if answers else read]
        return found

    def vectors(self, stack: str, layer: int) -> Tensor:
        """Return a layer's queries, keys and values side by side, before any rotation.

        Args:
            stack: `encoder` or `decoder`.
            layer: From 1.

        Returns:
            (batch, tokens, widths of the three together); see `ModelFacts.heads`.
        """
        block = self.blocks[stack][layer - 1]
        return torch.cat([self._kept[projection] for projection in _projections(block)], -1)

    def scores(self, stack: str, layer: int) -> Tensor:
        """Return how much each token attends to each, without mask and softmax.

        Position counts as the model has it: T5 adds a bias, Llama rotates queries and keys.

        Returns:
            (batch, attending tokens, attended tokens, heads).
        """
        block = self.blocks[stack][layer - 1]
        queries, keys = (
            self._kept[projection].unflatten(-1, (-1, self._width(block))).transpose(1, 2)
            for projection in _projections(block)[:2]
        )
        if self.model.config.is_encoder_decoder:
            length = queries.shape[2]
            found = queries @ keys.mT + self.blocks[stack][0].compute_bias(length, length)
        else:
            queries, keys = self._rotated(queries, keys)
            keys = keys.repeat_interleave(queries.shape[1] // keys.shape[1], dim=1)
            found = queries @ keys.mT * block.scaling
        scores: Tensor = found.permute(0, 2, 3, 1)
        return scores

    def _width(self, block: Any) -> int:
        """Return the width of one head."""
        encoder_decoder = self.model.config.is_encoder_decoder
        return int(block.key_value_proj_dim if encoder_decoder else block.head_dim)

    def _rotated(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.arange(queries.shape[2], device=queries.device)[None]
        cosine, sine = self.model.base_model.rotary_emb(queries, places)
        rotated: tuple[Tensor, Tensor] = apply_rotary_pos_emb(queries, keys, cosine, sine)
        return rotated


def _self_attention(model: Any) -> Mapping[str, Sequence[Any]]:
    """Return the modules of self-attention by stack, in the order of the layers."""
    if model.config.is_encoder_decoder:
        return {
            stack: [block.layer[0].SelfAttention for block in getattr(model, stack).block]
            for stack in ("encoder", "decoder")
        }
    return {"decoder": [layer.self_attn for layer in model.base_model.layers]}


def _projections(block: Any) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return what makes queries, keys and values."""
    if hasattr(block, "q_proj"):
        return block.q_proj, block.k_proj, block.v_proj
    return block.q, block.k, block.v
