"""Reads a spec from YAML, writes it back, and tells two specs apart.

Errors stand at `file:line:column` and name keys as the user wrote them.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from kdsearch.errors import SpecError
from kdsearch.spec.document import Document, Origin, override, read_document
from kdsearch.spec.faults import Fault, faults_of, name_of, strictly
from kdsearch.spec.models import JOIN, SearchSpec, Stage
from kdsearch.spec.parts import Parts, resolve_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.plugin.host import Host
    from kdsearch.spec.document import Trail

__all__ = [
    "Loaded",
    "Parts",
    "differences",
    "load",
    "load_spec",
    "resolve_parts",
    "write_spec",
]

WRITTEN_ORDER = (
    "name", "domain", "domains", "splits", "teachers", "combine", "stages", "ladder", "losses",
    "train", "search", "match", "ablate", "prompt", "evaluation", "cache", "resources",
)  # fmt: skip
"""The order of keys in a written spec: from the data to the claim."""


class Loaded(NamedTuple):
    """A validated spec and the plugins that it names."""

    spec: SearchSpec
    parts: Parts
    origin: Origin
    """Where it was read, to name the places of later faults."""


def load(path: Path, host: Host, overrides: Sequence[str] = ()) -> Loaded:
    """Read and validate a spec with all that its plugins say about it.

    Args:
        path: The YAML file.
        host: What is installed.
        overrides: Settings such as `train.max_steps=100`, applied in order as edits of the file.

    Raises:
        SpecError: If anything is wrong with it, one line a fault.
        PluginError: If it needs what a broken plugin may have offered.
    """
    document = read_document(path)
    for setting in overrides:
        document = override(document, setting)
    spec, origin = _model(document)
    return Loaded(spec, resolve_parts(spec, host, origin), origin)


def load_spec(path: Path, host: Host, overrides: Sequence[str] = ()) -> SearchSpec:
    """Read and validate a spec; see `load`."""
    return load(path, host, overrides).spec


def write_spec(spec: SearchSpec) -> str:
    """Return the spec as YAML, every default written out; it loads back equal."""
    data = spec.model_dump(mode="json")
    if len(data["stages"]) == 1:
        data |= data.pop("stages")[0]
    yaml = YAML()
    yaml.width = 100
    stream = StringIO()
    yaml.dump(_quoted({key: data[key] for key in WRITTEN_ORDER if key in data}), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """Quote texts with unprintable characters: plain YAML folds U+0085 into a space."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(inner) for inner in value]
    odd = isinstance(value, str) and not value.isprintable()
    return DoubleQuotedScalarString(value) if odd else value


def differences(old: SearchSpec, new: SearchSpec) -> list[str]:
    """Name every value in which two specs differ, such as `train.max_steps: 100 → 200`."""
    before, after = _leaves(old), _leaves(new)
    trails = dict.fromkeys([*before, *after])
    return [
        f"{name_of(trail)}: {before.get(trail, 'absent')} → {after.get(trail, 'absent')}"
        for trail in trails
        if before.get(trail, _Absent) != after.get(trail, _Absent)
    ]


class _Absent:
    """Stands for a value that is not there, which no value equals."""


def _leaves(spec: SearchSpec) -> dict[Trail, Any]:
    found: dict[Trail, Any] = {}

    def walk(value: Any, trail: Trail) -> None:
        if isinstance(value, dict | list) and value:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                walk(inner, (*trail, key))
        else:
            found[Origin(folded=len(spec.stages) == 1).rename(trail)] = value

    walk(spec.model_dump(mode="json"), ())
    return found


def _model(document: Document) -> tuple[SearchSpec, Origin]:
    """Validate all that does not need a plugin."""
    if not isinstance(document.data, dict):
        what = "is empty" if document.data is None else "is no mapping of keys"
        raise SpecError(f"the spec {what}", where=f"{document.name}:1:1")
    origin = Origin(document, folded="stages" not in document.data)
    data = _folded(document) if origin.folded else document.data
    data = _named(data)
    if not origin.folded:
        _refuse_both_forms(document)
    faults = _untaught(data["stages"], origin)
    spec, cause = None, None
    try:
        spec = strictly(SearchSpec, data)
    except ValidationError as error:
        also = tuple(Stage.model_fields) if origin.folded else ()
        faults = [*faults_of(error, SearchSpec, data, origin.rename, also), *faults]
        cause = error
    if spec is None or faults:
        lines = [origin.line(fault.trail, fault.message, at_key=fault.at_key) for fault in faults]
        raise SpecError("\n".join(dict.fromkeys(lines))) from cause
    return spec, origin


def _untaught(stages: Any, origin: Origin) -> list[Fault]:
    """Say that the last stage has no teacher, with whom students could be compared."""
    if not isinstance(stages, list) or not stages or not isinstance(stages[-1], dict):
        return []  # told by the model
    trail = origin.rename(("stages", len(stages) - 1))
    if "teachers" not in stages[-1]:
        where = f" in {name_of(trail)}" if trail else ""
        return [Fault((*trail, "teachers"), f"missing key 'teachers'{where}", at_key=True)]
    if stages[-1]["teachers"] == []:
        at = (*trail, "teachers")
        return [Fault(at, f"{name_of(at)}: needs at least 1, not []")]
    return []


def _folded(document: Document) -> dict[str, Any]:
    """Move the stage's keys from the top into the one stage."""
    top = {key: value for key, value in document.data.items() if key not in Stage.model_fields}
    stage = {key: value for key, value in document.data.items() if key in Stage.model_fields}
    return {**top, "stages": [stage]}


def _named(data: dict[str, Any]) -> dict[str, Any]:
    """Give the stages with several domains a `domain` too, called as these are."""
    stages = data["stages"]
    if not isinstance(stages, list):
        return data  # told by the model
    return {**data, "stages": [_with_domain(stage) for stage in stages]}


def _with_domain(stage: Any) -> Any:
    if not isinstance(stage, dict) or "domain" in stage or not stage.get("domains"):
        return stage
    listed = stage["domains"] if isinstance(stage["domains"], list) else []
    written = [entry for entry in listed if isinstance(entry, dict)]
    labels = [str(entry.get("label") or entry.get("name")) for entry in written]
    return {**stage, "domain": {"name": JOIN.join(labels)}}


def _refuse_both_forms(document: Document) -> None:
    for key in document.data:
        if key in Stage.model_fields:
            raise SpecError(
                f"key '{key}' stands inside stages where stages is written",
                where=document.place((key,), key=True),
            )
