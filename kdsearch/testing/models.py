"""Tiny models for contracts; torch is imported once one is made."""

from __future__ import annotations

from typing import Any

from kdsearch.plugin.ladders import ScratchSize, scratch_model_config

VOCABULARY = 259
"""Entries of `byte_tokenizer`."""


def tiny_model(family: str, width: int, layers: int, seed: int) -> Any:
    """Build a tiny model of a family, `t5` or `llama`, without dropout.

    Its weights are larger than those that models begin with, so that no mistake is too small.
    """
    import torch

    from kdsearch.distill.students import byte_tokenizer, random_model

    measures = ScratchSize(d_model=width, d_ff=2 * width, layers=layers, heads=2)
    config = scratch_model_config(family, measures, VOCABULARY)
    model = random_model(config, byte_tokenizer(), seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.2 * torch.randn(weights.shape, generator=random))
    return model.eval()
