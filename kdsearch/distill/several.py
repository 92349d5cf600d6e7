"""Loss terms where several teachers teach: each is given what its own teachers say.

A batch then holds, in place of one teacher's signals, `by_teacher` with those of each, and
`weights` (batch, teachers). A loss itself sees one teacher, or several as one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kdsearch.distill.mixture import mixed
from kdsearch.distill.signals import as_read
from kdsearch.spec.teachers import NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.plugin import LossInputs


class Together(nn.Module):
    """A term that reads several teachers as one.

    Args:
        module: The loss.
        temperature: At which it reads them.
    """

    def __init__(self, module: nn.Module, temperature: float) -> None:
        super().__init__()
        self.module = module
        self.temperature = temperature

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return the scalar that the loss makes of the teachers' mean."""
        teachers = list(inputs.signals["by_teacher"].values())
        said = mixed(teachers, inputs.signals["weights"], self.temperature)
        value: Tensor = self.module(replace(inputs, signals=as_read(said)))
        return value


class OneByOne(nn.Module):
    """A term of each teacher, or of the one that is named: the weighted mean of their losses.

    Args:
        modules: The loss, built for each teacher by name.
        shares: How much each counts; they sum to 1.
    """

    def __init__(self, modules: Mapping[str, nn.Module], shares: Sequence[float]) -> None:
        super().__init__()
        self.each = nn.ModuleDict(modules)
        self.shares = dict(zip(modules, shares, strict=True))

    def forward(self, inputs: LossInputs) -> Tensor:
        """Return the weighted mean of the scalars that each loss makes of its own teacher."""
        values = [
            self.shares[name] * module(_of(inputs, name)) for name, module in self.each.items()
        ]
        return torch.stack(values).sum()


def _of(inputs: LossInputs, name: str) -> LossInputs:
    """Return what a loss that reads one of several teachers is given."""
    said = inputs.signals.get("by_teacher", {}).get(name, {})
    return replace(
        inputs,
        signals=as_read(said),
        views=_own(inputs.views, name),
        window_counts=_own(inputs.window_counts, name),
    )


def _own(named: Mapping[str, Any], teacher: str) -> dict[str, Any]:
    """Return what is of a teacher, such as `explain@NAME`, under the name without it; and the rest.

    What is of other teachers is left out.
    """
    found = {}
    for key, value in named.items():
        view, slash, unit = key.partition("/")
        kind, at, name = view.partition(NAMED)
        if not at or name == teacher:
            found[f"{kind}{slash}{unit}"] = value
    return found
