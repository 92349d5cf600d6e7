"""What one trial trains with: stages with every searched value fixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from kdsearch.spec.base import Strict
from kdsearch.spec.training import Training


class Settings(Strict):
    """A stage with every searched value fixed: what one trial trains with."""

    losses: Mapping[str, Mapping[str, Any]]
    """By term: its `weight` and options."""
    training: Training
    earlier: tuple[Settings, ...] = ()
    """Of the stages before, in their order; written only where there are any."""

    @property
    def stages(self) -> tuple[Settings, ...]:
        """Of all stages in their order, this last one included."""
        return (*self.earlier, self)

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if not self.earlier:
            del written["earlier"]
        return written


def settings_hash(settings: Settings) -> str:
    """Hash the settings of a trial, to compare what was asked with what was applied."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
