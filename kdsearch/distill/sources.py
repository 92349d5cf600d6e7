"""Where a trial's teacher signals come from: a store, or the teacher run beside the student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

from kdsearch.distill.choices import pad_scores
from kdsearch.distill.group import TeacherGroup, assembled_each
from kdsearch.distill.passes import IGNORED, collate
from kdsearch.distill.signals import assembled, teacher_signals
from kdsearch.spec.signals import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdsearch.distill.data import Rows
    from kdsearch.distill.staff import Staff
    from kdsearch.distill.store import SignalStore
    from kdsearch.plugin import SignalRequest

SCORES = "choice_scores"


class Source(Protocol):
    """Gives the teacher's signals of a batch."""

    def columns(self, rows: Rows) -> dict[str, list[Any]]:
        """Return what each row of a table must carry for it.

        Raises:
            ModelError: If it has no signals of a row.
        """

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Return the signals of a batch as `signals.assembled` does.

        Args:
            rows: Of the table, with its columns.
            batch: The same, as `passes.collate` makes it.
        """


class CachedSignals:
    """Reads signals from a store.

    Args:
        store: Of one teacher, or of several that were asked together.
        column: What a row's place in it is called.
        members: The teachers of a store of several.
    """

    def __init__(
        self, store: SignalStore, column: str = "signal_row", members: Sequence[str] = ()
    ) -> None:
        self.store = store
        self.column = column
        self.members = members

    def columns(self, rows: Rows) -> dict[str, list[Any]]:
        """Return where each row is stored."""
        return {self.column: self.store.rows_of(rows.keys(self.store.files.request.tokens))}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Gather the rows from the store; by teacher where it is of several."""
        places = [row[self.column] for row in rows]
        if not self.members:
            return self.store.gather(places)
        return assembled_each(self.store.tensors(places), self.store.files.request, self.members)


class OnlineSignals:
    """Runs the teacher on each batch.

    Args:
        model: The teacher, on its device; put in evaluation mode. Or several, asked together.
        request: Which signals.
        members: The teachers of a group.
    """

    def __init__(self, model: Any, request: SignalRequest, members: Sequence[str] = ()) -> None:
        self.model = model if isinstance(model, TeacherGroup) else model.train(False)
        self.request = request
        self.members = members

    def columns(self, rows: Rows) -> dict[str, list[Any]]:
        """Return nothing: the tokens are all that it reads."""
        return {}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Let the teacher read the batch, in its own token ids."""
        on_device = {name: values.to(self.model.device) for name, values in batch.items()}
        if self.request.tokens is not None:
            ids = torch.tensor(self.request.tokens, device=self.model.device)
            read, labels = on_device["input_ids"], on_device["labels"]
            real = labels != IGNORED
            on_device["input_ids"] = ids[read]
            on_device["labels"] = torch.where(real, ids[labels.clamp(min=0)], labels)
        if isinstance(self.model, TeacherGroup):
            told = self.model.say(on_device, self.request)
            tensors = {name: each.values for name, each in told.items()}
            return assembled_each(tensors, self.request, self.members)
        said = teacher_signals(self.model, on_device, self.request)
        return assembled({name: told.values for name, told in said.items()}, self.request)


class OwnTokens:
    """Gives the signals of a teacher that reads the questions in its own tokens.

    Args:
        name: The teacher.
        source: Of its signals of its own rows.
        reading: Returns the rows in its tokens; their targets are the right answers, or those that
            are taught.
        causal: Whether it is a causal model.
    """

    def __init__(
        self, name: str, source: Source, reading: Callable[[bool], Rows], *, causal: bool
    ) -> None:
        self.name = name
        self.source = source
        self.reading = reading
        self.causal = causal

    def columns(self, rows: Rows) -> dict[str, list[Any]]:
        """Return its own tokens of each row, and what their source asks for."""
        own = self.reading(rows.taught)
        places = {example.id: place for place, example in enumerate(own.examples)}
        order = [places[example.id] for example in rows.examples]
        columns = {
            f"{self.name}/input_ids": own.sources,
            f"{self.name}/labels": own.targets,
            **self.source.columns(own),
        }
        return {name: [values[place] for place in order] for name, values in columns.items()}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Return the signals of the same questions, at the teacher's own tokens."""
        if isinstance(self.source, OnlineSignals):
            sources, targets = (
                [row[f"{self.name}/{key}"] for row in rows] for key in ("input_ids", "labels")
            )
            padding = self.source.model.config.pad_token_id or 0
            batch = collate(sources, targets, padding, causal=self.causal)
        return self.source.of_batch(rows, batch)


class SeveralSources:
    """Gives the signals of several teachers, each of its own source, in the form of `several`.

    Args:
        staff: Who teaches.
        sources: By teacher, or `TOGETHER` for those asked as one.
        scored: The teachers whose scores of the options are read.
    """

    def __init__(self, staff: Staff, sources: Mapping[str, Source], scored: Sequence[str]) -> None:
        self.staff = staff
        self.sources = sources
        self.scored = scored

    def columns(self, rows: Rows) -> dict[str, list[Any]]:
        """Return what the sources ask for, the weights of each row, and scores of its options."""
        found: dict[str, list[Any]] = {"teacher_weights": self.staff.weights(rows.examples)}
        for source in self.sources.values():
            found |= source.columns(rows)
        if self.scored:
            found["choices"] = list(rows.choices)
        return found | {f"{SCORES}@{name}": self.staff.scores(name, rows) for name in self.scored}

    def of_batch(
        self, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Return `by_teacher` and `weights`."""
        said: dict[str, dict[str, Any]] = {name: {} for name in self.staff.names}
        for name, source in self.sources.items():
            given = source.of_batch(rows, batch)
            for teacher, signals in (given if name == TOGETHER else {name: given}).items():
                said[teacher] |= signals
        for name in self.scored:
            said[name][SCORES] = pad_scores([row[f"{SCORES}@{name}"] for row in rows])
        return {
            "by_teacher": said,
            "weights": torch.tensor([row["teacher_weights"] for row in rows]),
        }
