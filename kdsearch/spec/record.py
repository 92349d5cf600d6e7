"""What a student's folder remembers of the search that made it, in `kdsearch.json`.

It says how the student was asked while it was trained, so that it is asked so again, and which
questions it may not be judged on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from kdsearch.errors import ModelError, RunError
from kdsearch.spec.base import Strict
from kdsearch.spec.models import DomainChoice, Evaluation, PromptFormat, SearchSpec, Splits
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from pathlib import Path

FILE = "kdsearch.json"


def _as_written(splits: Any) -> Any:
    """Read splits of before near-duplicates were looked for as what they were: they kept them."""
    return {"near_duplicates": "keep", **splits} if isinstance(splits, Mapping) else splits


RecordedSplits = Annotated[Splits, BeforeValidator(_as_written)]


class EarlierStage(Strict):
    """What a student was trained on before the last stage."""

    domain: DomainChoice
    domains: tuple[DomainChoice, ...] = ()
    splits: RecordedSplits


class Record(Strict):
    """The search of a student, as far as its use hangs on it."""

    name: str
    """The search's."""
    size: str
    """The student's place in the ladder; of a model that is in none, its place in the run."""
    domain: DomainChoice
    """What it was trained for, with the data's place."""
    domains: tuple[DomainChoice, ...] = ()
    """The same of a search over several."""
    splits: RecordedSplits
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


def recorded_spec(manifest: Mapping[str, Any]) -> SearchSpec:
    """Return the spec of a run's manifest.

    Raises:
        ValidationError: If it is of another version.
    """
    spec = manifest["spec"]
    stages = [
        {**stage, "splits": _as_written(stage.get("splits", {}))}
        for stage in spec.get("stages", ())
    ]
    match = {"reserve": 0.0, **spec.get("match", {})}  # of runs before there was one
    return SearchSpec.model_validate({**spec, "stages": stages, "match": match})


def as_begun(spec: SearchSpec, known: SearchSpec) -> SearchSpec:
    """Return a spec that takes from its run what had no default when the run began.

    Runs of before near-duplicates were looked for have kept them, and reserved nothing of alpha.
    """
    if len(spec.stages) != len(known.stages):
        return spec  # told by `differences`
    stages = list(spec.stages)
    for place, begun in enumerate(known.stages):
        if (splits := stages[place].splits).near_duplicates == "auto":
            splits = splits.model_copy(update={"near_duplicates": begun.splits.near_duplicates})
            stages[place] = stages[place].model_copy(update={"splits": splits})
    match = spec.match
    if "reserve" not in match.model_fields_set:
        match = match.model_copy(update={"reserve": known.match.reserve})
    return spec.model_copy(update={"stages": tuple(stages), "match": match})


def record_of(spec: SearchSpec, size: str) -> Record:
    """Return the record of a student of one size, or of another model of the run."""
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
    Folder(folder).write(FILE, record.model_dump_json(indent=1) + "\n")


def read_record(folder: Path) -> Record | None:
    """Return the record of a model folder, None where there is none.

    A model without one that lies in a run directory, by its own path or by those that its links
    lead to, gets that of the run.

    Raises:
        ModelError: If there is one and it cannot be read.
        RunError: If it lies in a run directory whose manifest cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        return _record_of_place(folder)
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


def _record_of_place(folder: Path) -> Record | None:
    """Return the record that the run directory about a model folder stands for."""
    own = [folder.absolute(), folder.resolve(), *(file.resolve() for file in folder.iterdir())]
    for place in dict.fromkeys(own):
        for above in place.parents:
            manifest, journal = above / "manifest.json", above / "journal.jsonl"
            if not (journal.is_file() or _is_manifest(manifest)):
                continue
            try:
                spec = recorded_spec(json.loads(manifest.read_text(encoding="utf8")))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise RunError(
                    f"the model '{folder}' is of a run whose manifest cannot be read: what its "
                    "confirm holds is not known",
                    where=str(manifest),
                    fix="restore the manifest",
                ) from error
            return record_of(spec, place.relative_to(above).as_posix())
    return None


def _is_manifest(file: Path) -> bool:
    """Whether a file is the manifest of a run: other programs write files of that name, too."""
    try:
        return "kdsearch" in json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, TypeError):
        return False
