"""Views of questions as token ids and batches; see `kdsearch.plugin.views`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.choices import collate_options
from kdsearch.distill.passes import collate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdsearch.distill.data import Encoder
    from kdsearch.plugin import Answer, Example, Prediction, Prompt, View


@dataclass(frozen=True)
class Taught:
    """A view of questions with the reasons that one teacher gives.

    Args:
        view: The view.
        name: What it is called here; another name for each of several teachers.
        reasons: The teacher's answers, by the id of the question.
    """

    view: View
    name: str
    reasons: Mapping[str, Prediction]

    @property
    def needs(self) -> str:
        """What the view does."""
        return self.view.needs

    def fault(self, answer: Answer) -> str:
        """Return why questions cannot be put so, as of the view."""
        return self.view.fault(answer)

    def prompt(self, example: Example, format: Callable[[Example], Prompt]) -> Prompt | None:
        """Put the teacher's reasons in the place of the data's."""
        told = replace(example, rationale=self.reasons[example.id].rationale)
        return self.view.prompt(told, format)


NOTHING: list[int] = []
"""The ids of a view that an example does not have."""


def view_columns(
    view: View, examples: Sequence[Example], encoder: Encoder, *, scored: bool
) -> dict[str, list[Any]]:
    """Return what a table carries of a view: its `sources`, `targets` and `choices`.

    Args:
        view: Which.
        examples: The rows of the table.
        encoder: Words and tokenises them.
        scored: Whether options are scored.

    Raises:
        DataError: If a prompt is too long, and may not or cannot be cut.
    """
    rows = [encoder.view(view, example) for example in examples]
    columns: dict[str, list[Any]] = {
        f"{view.name}/sources": [row.source if row else NOTHING for row in rows],
        f"{view.name}/targets": [row.target if row else NOTHING for row in rows],
    }
    if scored:
        columns[f"{view.name}/choices"] = [row.choices if row else [] for row in rows]
    return columns


def collate_views(
    rows: Sequence[Mapping[str, Any]], padding: int, *, causal: bool
) -> dict[str, dict[str, Any]]:
    """Return by view a batch of `collate` with the `rows` that have it, and their `options`.

    A view that no row has is left out.
    """
    names = [key.removesuffix("/sources") for key in rows[0] if key.endswith("/sources")]
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        places = [place for place, row in enumerate(rows) if row[f"{name}/targets"]]
        if not places:
            continue
        sources, targets = (
            [rows[place][f"{name}/{key}"] for place in places] for key in ("sources", "targets")
        )
        batch: dict[str, Any] = collate(sources, targets, padding, causal=causal)
        choices = [rows[place].get(f"{name}/choices") or [] for place in places]
        if all(choices):
            batch["options"] = collate_options(sources, choices, padding, causal=causal)
        found[name] = {**batch, "rows": torch.tensor(places)}
    return found


def view_tokens(columns: Mapping[str, Sequence[Any]]) -> int:
    """Return how many tokens the views of all rows have, longer options read anew."""
    total = sum(
        len(ids)
        for name, rows in columns.items()
        if name.endswith(("/sources", "/targets"))
        for ids in rows
    )
    for name, rows in columns.items():
        view, slash, _ = name.partition("/choices")
        if slash:
            sources = columns[f"{view}/sources"]
            total += option_tokens(sources, rows)
    return total


def option_tokens(sources: Sequence[Sequence[int]], choices: Sequence[Sequence[Any]]) -> int:
    """Return how many tokens options take to score; none where each is a token."""
    if all(len(ids) == 1 for options in choices for ids in options):
        return 0
    return sum(
        len(source) + len(ids)
        for source, options in zip(sources, choices, strict=True)
        for ids in options
    )
