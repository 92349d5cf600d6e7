"""YAML text as plain data that remembers where each value stands, and `--set` on top of it.

Only the form is checked here: what the keys mean is for `loading`.
"""

from __future__ import annotations

import json
import re
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kdsearch.errors import SpecError
from kdsearch.plugin.json_values import check_encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Trail = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

LARGEST_FILE = 1_000_000
"""Bytes; the reader is pure Python and takes about 10 seconds for as much."""
MOST_VALUES = 100_000
"""Values after aliases are followed: a few lines of nested aliases write billions."""
DEEPEST = 50
"""Levels of nesting; an alias to its own parent has no end."""
NOT_YAML = "not valid YAML"
LARGEST_NUMBER = 10**300
"""Whole numbers beyond it have no double, and beyond 4,300 digits no text."""
NAME = r'(?:"[^"]*"|[^."]+)'
"""One key of a `--set` path."""


class Place(NamedTuple):
    """Where a key and its value stand, such as `spec.yaml:12:3`."""

    key: str
    value: str


@dataclass(frozen=True)
class Document:
    """Plain data with the place of every key and value."""

    name: str
    """The file, as the user named it."""
    data: Any
    places: Mapping[Trail, Place]

    def place(self, trail: Trail, *, key: bool = False) -> str:
        """Return where a value, or its key, stands; of a missing one, where its parent does."""
        for length in range(len(trail), 0, -1):
            found = self.places.get(trail[:length])
            if found:
                return found.key if key else found.value
        return f"{self.name}:1:1"


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        SpecError: If there is no such file, or it is no UTF-8, no YAML, or has a key twice.
    """
    name = str(path)
    if not path.is_file():
        kind = "a folder, not a spec file" if path.is_dir() else "no such spec file"
        raise SpecError(kind, where=name)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=name) from error
    if len(raw) > LARGEST_FILE:
        raise SpecError(f"{len(raw):,} bytes are too many for a spec: at most 1 MB", where=name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError("not UTF-8 text", where=f"{name}:{line}", fix="save it as UTF-8") from error
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text; `name` begins every place."""
    return _Reader(lambda line, column: f"{name}:{line}:{column}").read(text, name)


def override(document: Document, setting: str) -> Document:
    """Return the document as if the user had edited it: `train.max_steps=100`.

    A key that holds dots is written in double quotes; an index names an item of a list.

    Raises:
        SpecError: If the setting is malformed or its path leads through a plain value.
    """
    label = f"--set {setting}"
    path, equals, text = setting.partition("=")
    path = path.strip()
    if not equals or not re.fullmatch(rf"{NAME}(\.{NAME})*", path):
        raise SpecError("write it as --set key.key=value", where=label)
    names = [name.strip('"') for name in re.findall(NAME, path)]
    try:
        new = _Reader(lambda line, column: label).read(text, label)
    except SpecError as error:
        if not error.message.startswith(NOT_YAML):
            raise
        quoted = shlex.quote(f"{path}={json.dumps(text.strip(), ensure_ascii=False)}")
        advice = f"quote a text for YAML and for the shell: --set {quoted}"
        raise SpecError(error.message, where=label, fix=advice) from error
    data, trail = _set(document.data, names, new.data, (), label)
    kept = {at: place for at, place in document.places.items() if at[: len(trail)] != trail}
    here = {trail[:length]: Place(label, label) for length in range(1, len(trail) + 1)}
    below = {trail + at: place for at, place in new.places.items()}
    return Document(document.name, data, {**here, **kept, **below, trail: Place(label, label)})


def _set(
    data: Any, names: Sequence[str], value: Any, trail: Trail, label: str
) -> tuple[Any, Trail]:
    """Return a copy of the data with one value replaced, and the trail to it."""
    if not names:
        return value, trail
    name, rest = names[0], names[1:]
    if data is None:
        data = {}
    if isinstance(data, list):
        if not name.isdecimal() or int(name) >= len(data):
            at = ".".join(map(str, trail))
            raise SpecError(f"'{at}' has no item '{name}': 0 to {len(data) - 1}", where=label)
        index = int(name)
        item, found = _set(data[index], rest, value, (*trail, index), label)
        return [*data[:index], item, *data[index + 1 :]], found
    if not isinstance(data, dict):
        at = ".".join(map(str, trail))
        raise SpecError(f"'{at}' is {data!r} and has no key '{name}'", where=label)
    item, found = _set(data.get(name), rest, value, (*trail, name), label)
    return {**data, name: item}, found


class _Reader:
    """Turns YAML nodes into plain data; keys are text, whatever they look like."""

    def __init__(self, place: Callable[[int, int], str]) -> None:
        self._place = place
        self._places: dict[Trail, Place] = {}
        self._values = 0
        self._yaml = YAML(typ="safe", pure=True)

    def read(self, text: str, name: str) -> Document:
        try:
            root = self._yaml.compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self._place(mark.line + 1, mark.column + 1) if mark else name
            raise SpecError(f"{NOT_YAML}: {_one_line(error.problem)}", where=where) from error
        except (YAMLError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise SpecError(f"{NOT_YAML}: {_one_line(reason)}", where=name) from error
        data = None if root is None else self._value(root, ())
        return Document(name, data, self._places)

    def _at(self, node: Node) -> str:
        return self._place(node.start_mark.line + 1, node.start_mark.column + 1)

    def _value(self, node: Node, trail: Trail) -> Any:
        self._values += 1
        if self._values > MOST_VALUES or len(trail) > DEEPEST:
            limit = f"at most {MOST_VALUES:,} values, {DEEPEST} levels deep"
            raise SpecError(
                f"too large once its aliases are followed: {limit}", where=self._at(node)
            )
        if isinstance(node, MappingNode):
            return self._mapping(node, trail)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*trail, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _item(self, node: Node, trail: Trail) -> Any:
        self._places[trail] = Place(self._at(node), self._at(node))
        return self._value(node, trail)

    def _mapping(self, node: MappingNode, trail: Trail) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise SpecError("a key must be a plain word", where=self._at(key))
            self._check_text(key.value, key)
            at = (*trail, str(key.value))
            if key.value in data:
                first = self._places[at].key
                raise SpecError(
                    f"duplicate key '{key.value}', first at {first}", where=self._at(key)
                )
            self._places[at] = Place(self._at(key), self._at(value))
            data[key.value] = self._value(value, at)
        return data

    def _check_text(self, text: str, node: Node) -> None:
        try:
            check_encodable(text)
        except ValueError as error:
            raise SpecError(str(error), where=self._at(node)) from error

    def _scalar(self, node: Node) -> Any:
        try:
            value = self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            raise SpecError(_not_plain(node), where=self._at(node)) from error
        if isinstance(value, date):
            return node.value
        if isinstance(value, float) and not isfinite(value):
            raise SpecError(f"'{node.value}' is no finite number", where=self._at(node))
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise SpecError("a whole number of more than 300 digits", where=self._at(node))
        if isinstance(value, str):
            self._check_text(value, node)
        if value is not None and not isinstance(value, str | bool | int | float):
            raise SpecError(_not_plain(node), where=self._at(node))
        return value


def _not_plain(node: Node) -> str:
    return f"not a plain value: {str(node.value)[:40]!r}"


def _one_line(reason: str | None) -> str:
    return " ".join((reason or "it cannot be parsed").split())


@dataclass(frozen=True)
class Origin:
    """How a spec was written, to name its keys and places as its author knows them."""

    document: Document | None = None
    folded: bool = True
    """Whether the stage's keys stand at the top."""
    place: int = 0
    """Which of the document's stages a search is of that has only one; see `SearchSpec.at`."""

    def rename(self, trail: Trail) -> Trail:
        """Turn a trail in the model into one in the document."""
        if trail[:2] != ("stages", 0):
            return trail
        return trail[2:] if self.folded else ("stages", self.place, *trail[2:])

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Put the place in the document before faults that are at a key of it.

        So that what shows only when models are looked at stands at its line too.
        """
        try:
            yield
        except SpecError as error:
            trail = self._trail_of(error.where or "")
            if self.document is None or not trail:
                raise
            where = self.document.place(trail)
            message = f"{error.where}: {error.message}"
            raise SpecError(message, where=where, fix=error.fix) from error

    def _trail_of(self, name: str) -> Trail:
        """Return the trail of a name such as `losses.hidden_mse.layers`; empty if it is none."""
        words = name.split(".")
        at: Trail = tuple(int(word) if word.isdecimal() else word for word in words)
        places = self.document.places if self.document else {}
        for trail in (at, ("stages", 0, *at)):
            if trail[: 1 + len(trail) - len(at)] in places:
                return trail
        return ()

    def line(self, trail: Trail, message: str, *, at_key: bool = False) -> str:
        """Put the place of a (renamed) trail before a message, where there is a document."""
        if self.document is None:
            return message
        return f"{self.document.place(trail, key=at_key)}: {message}"
