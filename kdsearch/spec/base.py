"""What every part of a spec is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every part of a spec: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Open(BaseModel):
    """Base of parts whose remaining keys a plugin validates."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    @property
    def rest(self) -> dict[str, Any]:
        """The keys that the plugin validates."""
        return dict(self.__pydantic_extra__ or {})
