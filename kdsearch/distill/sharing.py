"""Options of several tokens after prompts that are read once.

An encoder-decoder encodes each prompt once for all of its options. A causal model reads each prompt
into a cache, padded on the left so that all end at one place, and every option goes on from there;
its first token is scored by the prompt alone.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from kdsearch.distill.passes import IGNORED, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    Ids = Sequence[int]


@torch.inference_mode()
def shared_scores(
    model: Any, sources: Sequence[Ids], options: Sequence[Sequence[Ids]]
) -> list[list[float]]:
    """Return the log-likelihood of each option of each prompt, in nats.

    Args:
        model: In evaluation mode.
        sources: Token ids of the prompts.
        options: By prompt, then by option: its token ids.
    """
    owners = [row for row, listed in enumerate(options) for _ in listed]
    owner = torch.tensor(owners, device=model.device)
    targets = list(chain.from_iterable(options))
    read = _encoded if model.config.is_encoder_decoder else _continued
    totals = iter(read(model, sources, targets, owner).tolist())
    return [[next(totals) for _ in listed] for listed in options]


def _encoded(model: Any, sources: Sequence[Ids], targets: Sequence[Ids], owner: Tensor) -> Tensor:
    """Score targets by an encoder-decoder, (targets,)."""
    ids = pad(sources, model.config.pad_token_id or 0).to(model.device)
    mask = pad([[1] * len(source) for source in sources], 0).to(model.device)
    states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    labels = pad(targets, IGNORED).to(model.device)
    logits = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=states[owner]),
        attention_mask=mask[owner],
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
        use_cache=False,
    ).logits
    return _summed(logits[labels != IGNORED], labels)


def _continued(model: Any, sources: Sequence[Ids], targets: Sequence[Ids], owner: Tensor) -> Tensor:
    """Score targets by a causal model, (targets,)."""
    padding, device = model.config.pad_token_id or 0, model.device
    ids = pad([source[::-1] for source in sources], padding).flip(1).to(device)
    mask = pad([[1] * len(source) for source in sources], 0).flip(1).to(device)
    head = model.get_output_embeddings()
    prompts = model.base_model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
    )
    logs = head(prompts.last_hidden_state[:, -1]).float().log_softmax(-1)
    labels = pad(targets, IGNORED).to(device)
    scores: Tensor = logs[owner, labels[:, 0]]
    if labels.shape[1] == 1:
        return scores
    given, later = labels[:, :-1], labels[:, 1:]
    cache = prompts.past_key_values
    cache.batch_select_indices(owner)
    states = model.base_model(
        input_ids=given.clamp(min=0),
        attention_mask=torch.cat([mask[owner], (given != IGNORED).long()], dim=1),
        position_ids=mask.sum(-1)[owner, None] + torch.arange(given.shape[1], device=device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return scores + _summed(head(states[later != IGNORED]), later)


def _summed(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum the log-likelihoods of labels by row, (rows,).

    Args:
        logits: (labels that are not ignored, vocabulary).
        labels: (rows, targets).
    """
    real = labels != IGNORED
    said = torch.zeros(labels.shape, device=labels.device)
    said[real] = logits.float().log_softmax(-1).gather(-1, labels[real][:, None])[:, 0]
    return said.sum(-1)
