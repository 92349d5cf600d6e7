"""What a student's folder remembers of the search that made it, in `kdsearch.json`.

It says how the student was asked while it was trained, so that it is asked so again, and which
questions it may not be judged on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from kdsearch.errors import ModelError
from kdsearch.spec.base import Strict
from kdsearch.spec.models import DomainChoice, Evaluation, PromptFormat, Splits

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.spec.models import SearchSpec

FILE = "kdsearch.json"


class EarlierStage(Strict):
    """What a student was trained on before the last stage."""

    domain: DomainChoice
    domains: tuple[DomainChoice, ...] = ()
    splits: Splits


class Record(Strict):
    """The search of a student, as far as its use hangs on it."""

    name: str
    """The search's."""
    size: str
    """The student's place in the ladder."""
    domain: DomainChoice
    """What it was trained for, with the data's place."""
    domains: tuple[DomainChoice, ...] = ()
    """The same of a search over several."""
    splits: Splits
    """How the data were divided."""
    seed: int = Field(ge=0)
    """What the splits were drawn by."""
    prompt: PromptFormat
    """How it was asked."""
    evaluation: Evaluation
    """How its answers were found."""
    earlier: tuple[EarlierStage, ...] = ()
    """What it was trained on in the stages before."""

    @property
    def before(self) -> list[Record]:
        """The same of each stage before, as if that had been the last."""
        return [self.model_copy(update={**dict(stage), "earlier": ()}) for stage in self.earlier]

    @property
    def made_for(self) -> tuple[DomainChoice, ...]:
        """The domain, or all of several."""
        return self.domains or (self.domain,)


def record_of(spec: SearchSpec, size: str) -> Record:
    """Return the record of a student of one size."""
    stage = spec.stage
    return Record(
        name=spec.name,
        size=size,
        domain=stage.domain,
        domains=stage.domains,
        splits=stage.splits,
        seed=spec.search.seed,
        prompt=spec.prompt,
        evaluation=spec.evaluation,
        earlier=tuple(
            EarlierStage(domain=before.domain, domains=before.domains, splits=before.splits)
            for before in spec.stages[:-1]
        ),
    )


def write_record(folder: Path, record: Record) -> None:
    """Write a record into a student's folder."""
    (folder / FILE).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf8")


def read_record(folder: Path) -> Record | None:
    """Return the record of a model folder, None where there is none.

    Raises:
        ModelError: If there is one and it cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return Record.model_validate_json(file.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ModelError(
            f"malformed: {place}: {fault['msg']}",
            where=str(file),
            fix="export the student again, or delete the file",
        ) from error
