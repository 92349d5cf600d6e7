"""Exports a student as a plain model folder with a card that says what is known of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdsearch.distill.card import Card, licence_of, model_card, settings_of
from kdsearch.spec.record import record_of, write_record
from kdsearch.storage import Folder
from kdsearch.storage.sums import write_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.spec.models import SearchSpec


def export_student(
    run: Folder,
    trained: Path,
    destination: Path,
    size: Mapping[str, Any],
    summary: Mapping[str, Any],
    spec: SearchSpec,
    teacher: Path,
) -> None:
    """Copy a trained student, write its model card and how it is to be asked.

    Args:
        run: The run directory.
        trained: The trial's `save_pretrained` folder.
        destination: Written anew.
        size: The size's entry of the summary.
        summary: The run's summary.
        spec: The run's.
        teacher: Its folder.
    """
    card = Card(spec, size, summary, settings_of(trained.parent), licence_of(teacher))
    with run.fill(destination) as draft:
        shutil.copytree(trained, draft, dirs_exist_ok=True)
        Folder(draft).write("README.md", model_card(card))
        write_record(draft, record_of(spec, size["size"]))
        write_sums(draft)
