"""Several teachers asked together, where only some logits of their mean are kept.

Which entries are kept must be the same for all, or their mean would be known at none: the k
likeliest of the plain mean of their probabilities. Weights do not choose, so that they may change
from example to example, and from run to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.passes import forward
from kdsearch.distill.signals import Axis, Told, assembled, inference
from kdsearch.distill.top_logits import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdsearch.plugin import SignalRequest

IDS = "top_ids"


class TeacherGroup:
    """Teachers that read the same tokens in the same way.

    Args:
        models: Each on its device; put in evaluation mode.
        dtypes: In which number format each computes.
    """

    def __init__(self, models: Sequence[Any], dtypes: Sequence[str]) -> None:
        self.models = [model.train(False) for model in models]
        self.dtypes = dtypes
        self.config = models[0].config
        self.device = models[0].device

    def say(self, batch: Mapping[str, Tensor], request: SignalRequest) -> dict[str, Told]:
        """Return `top_ids`, and `top_values/N` and `top_tails/N` of each teacher.

        Args:
            batch: Of `passes.collate`, on the first model's device.
            request: Which logits, fewer than the vocabulary.
        """
        logits = [self._logits(*asked, batch, request) for asked in self._asked]
        least = min(each.shape[-1] for each in logits)
        shared = [each[..., :least].float() for each in logits]
        mean = torch.stack([each.softmax(-1) for each in shared]).mean(0)
        top = mean.topk(request.top_k or least, dim=-1).indices
        told = {}
        for place, each in enumerate(shared):
            packed = pack(each, top.shape[-1], request.temperatures, top)
            told[IDS] = packed.pop(IDS)
            told |= {f"{name}/{place}": values for name, values in packed.items()}
        return {name: Told(values, (Axis.TARGET,)) for name, values in told.items()}

    @property
    def _asked(self) -> list[tuple[Any, str]]:
        return list(zip(self.models, self.dtypes, strict=True))

    def _logits(
        self, model: Any, dtype: str, batch: Mapping[str, Tensor], request: SignalRequest
    ) -> Tensor:
        own = {name: values.to(model.device) for name, values in batch.items()}
        kept = slice(request.vocabulary) if request.tokens is None else list(request.tokens)
        with inference(model, dtype):
            return forward(model, own).logits[..., kept].to(self.device)


def assembled_each(
    tensors: Mapping[str, Tensor], request: SignalRequest, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return by teacher what `signals.assembled` returns of one.

    Args:
        tensors: By name, as `TeacherGroup.say` names them.
        request: What was asked.
        names: The teachers', in the order of the group.
    """
    ids = tensors[IDS]
    return {
        name: assembled(
            {
                IDS: ids,
                "top_values": tensors[f"top_values/{place}"],
                "top_tails": tensors[f"top_tails/{place}"],
            },
            request,
        )
        for place, name in enumerate(names)
    }
