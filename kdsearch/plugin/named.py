"""A loss term of which only metadata are imported until it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdsearch.plugin.ladders import resolve

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import nn

    from kdsearch.plugin.api import Shapes, Signal


@dataclass(frozen=True)
class NamedLoss:
    """A loss term whose module is imported when it is built.

    So a plugin is listed, and a spec validated, without torch.
    """

    name: str
    version: str
    Config: type[BaseModel]
    needs: frozenset[Signal]
    implementation: str
    """The class of the term as `module:Class`, called with a `Config` and `Shapes`."""

    def build(self, config: Any, shapes: Shapes) -> nn.Module:
        """Import the implementation and build it."""
        module: nn.Module = resolve(self.implementation)(config, shapes)
        return module
