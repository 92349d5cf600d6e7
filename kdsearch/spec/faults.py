"""Validation errors of pydantic, told in one line each, named as the user wrote the keys."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kdsearch.errors import did_you_mean
from kdsearch.spec.space import SPACES, is_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

    from kdsearch.spec.document import Trail

FORMS = frozenset(space.__name__ for space in SPACES.values())
"""How pydantic calls the search spaces among the branches of a union."""


QUOTE = """ (to mean it as text, quote it: "...", after --set as 'KEY="..."')"""
"""YAML reads `true`, `5`, `a: b` and `[x]` otherwise, and a shell takes quotes away."""


class Fault(NamedTuple):
    """One thing that is wrong with a value or, `at_key`, with a key or the lack of one."""

    trail: Trail
    message: str
    at_key: bool = False


def strictly(model: type[BaseModel], data: Any) -> Any:
    """Validate data that came from YAML: no text for a number, no truth value for one either.

    Pydantic's strict mode for JSON is what YAML needs too: lists may be tuples and words members
    of an enumeration, but `"8"` and `true` are no numbers.

    Raises:
        ValidationError: If the data do not fit the model.
    """
    return model.model_validate_json(json.dumps(data), strict=True)


def name_of(trail: Trail) -> str:
    """Return a trail as a user writes it: `teachers.0.model`."""
    return ".".join(map(str, trail))


def faults_of(
    error: ValidationError,
    model: type[BaseModel],
    data: Any,
    rename: Callable[[Trail], Trail] = lambda trail: trail,
    also: Sequence[str] = (),
) -> list[Fault]:
    """Tell what is wrong with the data, unknown keys first.

    Args:
        error: What `model` said about `data`.
        model: Names the keys that are allowed.
        data: What was validated.
        rename: Turns a trail in the data into the user's.
        also: Keys that the user may write at the top besides the model's.
    """
    return _Teller(model, data, rename, tuple(also)).tell(error)


@dataclass(frozen=True)
class _Teller:
    model: type[BaseModel]
    data: Any
    rename: Callable[[Trail], Trail]
    also: tuple[str, ...]

    def tell(self, error: ValidationError) -> list[Fault]:
        """Tell each fault once, a union's branches as one."""
        found = self._tell(_without_echoes(error.errors(include_url=False)))
        return sorted(found, key=lambda fault: not fault.message.startswith("unknown key"))

    def _tell(self, details: Sequence[ErrorDetails]) -> list[Fault]:
        found: list[Fault] = []
        unions: dict[Trail, list[tuple[str, ErrorDetails]]] = {}
        followed = [(_follow(self.data, detail), detail) for detail in details]
        for (_, at, branch), detail in followed:
            if branch is not None:
                unions.setdefault(at, []).append((branch, detail))
        for (trail, at, branch), detail in followed:
            if branch is None:
                found.append(self._fault(trail, detail))
            elif at in unions:
                found += self._of_union(at, unions.pop(at))
        return found

    def _of_union(self, at: Trail, details: list[tuple[str, ErrorDetails]]) -> list[Fault]:
        """Tell what is wrong with a value that fits no branch: of the branch that was meant."""
        value = self.data
        for part in at:
            value = value[part]
        kept = [detail for _, detail in details]
        if inner := _meant_part(value, details):
            meant_details = [detail for branch, detail in details if branch == inner]
            return self._tell([_outside_union(detail, len(at)) for detail in meant_details])
        if any(branch in FORMS for branch, _ in details):
            if isinstance(value, Mapping) and not is_space(value):
                return [self._of_value(at, _no_space(value))]
            meant = SPACES[next(iter(value))].__name__ if is_space(value) else None
            kept = [
                detail
                for branch, detail in details
                if (branch == meant if meant else branch not in FORMS)
            ]
        deeper = [(_follow(self.data, detail)[0], detail) for detail in kept]
        if len(deeper) == 1 or any(trail != at for trail, _ in deeper):
            return [self._fault(trail, detail) for trail, detail in deeper]
        phrases = " or ".join(dict.fromkeys(_phrase(detail) for detail in kept))
        phrases = phrases.replace(" or should be ", " or ")
        return [self._of_value(at, f"{phrases}, not {_shown(value)}")]

    def _fault(self, trail: Trail, detail: ErrorDetails) -> Fault:
        kind, value = detail["type"], detail["input"]
        if kind in ("missing", "extra_forbidden"):
            return self._of_key(trail, kind)
        if kind in ("enum", "literal_error") and isinstance(value, str):
            allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            return self._of_value(trail, f"unknown value '{value}': {did_you_mean(value, allowed)}")
        if kind in ("value_error", "assertion_error"):
            return self._of_value(trail, _phrase(detail))
        advice = QUOTE if kind == "string_type" and value is not None else ""
        return self._of_value(trail, f"{_phrase(detail)}, not {_shown(value)}{advice}")

    def _of_value(self, trail: Trail, message: str) -> Fault:
        renamed = self.rename(trail)
        return Fault(renamed, f"{name_of(renamed)}: {message}" if renamed else message)

    def _of_key(self, trail: Trail, kind: str) -> Fault:
        word = str(trail[-1])
        renamed = (*self.rename(trail[:-1]), word)
        parent = name_of(renamed[:-1])
        where = f" in {parent}" if parent else ""
        if kind == "missing":
            return Fault(renamed, f"missing key '{word}'{where}", at_key=True)
        allowed = [*_keys_at(self.model, trail[:-1]), *(() if trail[:-1] else self.also)]
        advice = did_you_mean(word, allowed)
        return Fault(renamed, f"unknown key '{word}'{where}: {advice}", at_key=True)


def _follow(data: Any, detail: ErrorDetails) -> tuple[Trail, Trail, str | None]:
    """Split a location into its trail in the data and the branch of a union that it names."""
    trail: Trail = ()
    at: Trail = ()
    branch: str | None = None
    last = len(detail["loc"]) - 1
    for index, part in enumerate(detail["loc"]):
        if _holds(data, part):
            data, trail = data[part], (*trail, part)
        elif index == last and detail["type"] == "missing":
            trail = (*trail, part)
        elif branch is None:
            at, branch = trail, str(part)
    return trail, at, branch


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    is_list = isinstance(data, Sequence) and not isinstance(data, str)
    return is_list and isinstance(part, int) and part < len(data)


def _outside_union(detail: ErrorDetails, depth: int) -> ErrorDetails:
    """Take the name of a union's branch out of a location."""
    shorter = detail.copy()
    shorter["loc"] = (*detail["loc"][:depth], *detail["loc"][depth + 1 :])
    return shorter


def _meant_part(value: Any, details: Sequence[tuple[str, ErrorDetails]]) -> str | None:
    """Return the branch, no search space, that knows a key of the mapping that was written."""
    if not isinstance(value, Mapping) or is_space(value):
        return None
    inside = [(branch, detail) for branch, detail in details if detail["loc"][-1] != branch]
    for part in dict.fromkeys(branch for branch, _ in inside if branch not in FORMS):
        own = [detail for branch, detail in inside if branch == part]
        unknown = {detail["loc"][-1] for detail in own if detail["type"] == "extra_forbidden"}
        if set(value) - unknown:
            return part
    return None


def _no_space(value: Mapping[str, Any]) -> str:
    if len(value) != 1:
        return f"neither a value nor a search space (exactly one key of {', '.join(SPACES)})"
    word = str(next(iter(value)))
    return f"unknown search space '{word}': {did_you_mean(word, SPACES)}"


def _phrase(detail: ErrorDetails) -> str:
    """Return pydantic's words as the end of our own sentence."""
    message = re.sub(r"^(Value error|Assertion failed), ", "", detail["msg"])
    message = re.sub(r"^(Input|String|Tuple|List|Dictionary) should ", "should ", message)
    message = re.sub(r"valid dictionary|object", "mapping of keys", message)
    message = message.replace("valid array", "list")
    message = re.sub(r"should have at (least|most) (\d+) items? .*", r"needs at \1 \2", message)
    return " ".join(message.replace("be an mapping", "be a mapping").split())


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop 'too short' of a list or mapping that only looks so because an item failed."""

    def inside(other: ErrorDetails, detail: ErrorDetails) -> bool:
        length = len(detail["loc"])
        return len(other["loc"]) > length and other["loc"][:length] == detail["loc"]

    return [
        detail
        for detail in details
        if detail["type"] != "too_short" or not any(inside(other, detail) for other in details)
    ]


def _keys_at(annotation: Any, trail: Trail) -> list[str]:
    """Return the keys that the model reached by a trail allows."""
    for part in trail:
        annotation = _inside(annotation, part)
    models = [branch for branch in _branches(annotation) if _is_model(branch)]
    return [
        str(field.alias or name) for model in models for name, field in model.model_fields.items()
    ]


def _inside(annotation: Any, part: str | int) -> Any:
    """Return the annotation of a field, an item or a mapping's value."""
    found = []
    for branch in _branches(annotation):
        if _is_model(branch):
            fields = {field.alias or name: field for name, field in branch.model_fields.items()}
            found += [fields[part].annotation] if part in fields else []
        else:
            arguments = [argument for argument in get_args(branch) if argument is not Ellipsis]
            found += arguments[-1:]
    return Union[tuple(found)] if found else None  # noqa: UP007  # built at run time


def _branches(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _branches(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for branch in get_args(annotation) for leaf in _branches(branch)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
