"""What a display needs of the plan that opens the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdsearch.search.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Planned:
    """The plan's figures; before a plan is known they are empty."""

    name: str = ""
    match: Mapping[str, Any] = field(default_factory=dict)
    """`metric`, `margin` or `retain`, `confidence`."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Parameters by name, in the order of the ladder."""
    trial_flops: Mapping[str, float] = field(default_factory=dict)
    """Training FLOPs of one trial, by size."""
    grid_flops: float = 0.0
    """Training FLOPs of every configuration and baseline of every size."""
    teacher_parameters: int | None = None
    rules: Rules | None = None

    @property
    def trials_per_size(self) -> int:
        """Configurations of a size, and its baseline."""
        one_of_each = sum(self.trial_flops.values())
        return round(self.grid_flops / one_of_each) if one_of_each else 0

    @classmethod
    def read(cls, plan: Mapping[str, Any]) -> Planned:
        """Read the figures off a plan's JSON."""
        match, sizes = plan["match"], plan["sizes"]
        return cls(
            name=plan["name"],
            match=match,
            sizes={size["size"]: size["parameters"] for size in sizes},
            trial_flops={size["size"]: size["trial_flops"] for size in sizes},
            grid_flops=plan["cost"]["exhaustive_grid_flops"],
            teacher_parameters=plan["teacher"]["parameters"],
            rules=Rules(
                margin=match.get("margin"),
                retain=match.get("retain"),
                confidence=match["confidence"],
                dev_items=plan["splits"]["dev"],
                confirm_items=plan["splits"]["confirm"],
            ),
        )
