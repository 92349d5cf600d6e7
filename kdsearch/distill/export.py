"""Exports a student as a plain model folder with a card that says what is known of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdsearch.distill.card import Card, licence_of, model_card, settings_of
from kdsearch.spec.record import record_of, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.spec.models import SearchSpec


def export_student(
    trained: Path,
    destination: Path,
    size: Mapping[str, Any],
    summary: Mapping[str, Any],
    spec: SearchSpec,
    teacher: Path,
) -> None:
    """Copy a trained student, write its model card and how it is to be asked.

    Args:
        trained: The trial's `save_pretrained` folder.
        destination: Written anew.
        size: The size's entry of the summary.
        summary: The run's summary.
        spec: The run's.
        teacher: Its folder.
    """
    if destination.exists():
        shutil.rmtree(destination)
    shutil.copytree(trained, destination)
    card = Card(spec, size, summary, settings_of(trained.parent), licence_of(teacher))
    (destination / "README.md").write_text(model_card(card), encoding="utf8")
    write_record(destination, record_of(spec, size["size"]))
