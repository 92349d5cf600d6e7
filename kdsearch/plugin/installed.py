"""Finds the entry points of installed plugins, one distribution at a time.

`importlib.metadata.entry_points` reads all distributions at once, so that one whose files are
damaged hides those of every other.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.plugin.faults import Isolated
from kdsearch.plugin.hookspecs import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_POINTS = "entry_points.txt"


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' of {self.distribution} {self.version}"


class Installed(NamedTuple):
    """An entry point of the group `kdsearch`, or what is wrong with those of a distribution."""

    source: Source
    point: metadata.EntryPoint | None
    fault: str = ""


def installed() -> list[Installed]:
    """Return every entry point once, in the order of their names; the first distribution wins."""
    found = list[Installed]()
    for owner in metadata.distributions():
        faults = list[str]()
        entries = list[Installed]()
        with Isolated(faults.append, f"its {ENTRY_POINTS} cannot be read:"):
            entries = list(_entries(owner))
        if faults:
            entries = [_unreadable(owner, faults[0])]
        known = {each.source.distribution for each in found}
        found += [each for each in entries if each.source.distribution not in known]
    return sorted(
        found,
        key=lambda each: (each.source.plugin, each.point.value if each.point else ""),
    )


def _entries(owner: metadata.Distribution) -> Iterator[Installed]:
    """Yield the entry points of one distribution, if it has any of ours."""
    heading = f"[{GROUP}]"
    try:
        text = owner.read_text(ENTRY_POINTS) or ""
    except UnicodeDecodeError as error:
        if heading.encode() in error.object:
            byte = f"0x{error.object[error.start]:02x}"
            yield _unreadable(owner, f"its {ENTRY_POINTS} is not UTF-8: byte {byte}")
        return
    if heading not in text:
        return
    try:
        points = list(owner.entry_points)
    except (TypeError, ValueError):
        yield _unreadable(owner, f"a line of its {ENTRY_POINTS} is no `name = module`")
        return
    for point in points:
        if point.group == GROUP:
            yield Installed(_source(owner, point.name), point)


def _unreadable(owner: metadata.Distribution, fault: str) -> Installed:
    return Installed(_source(owner, "unreadable"), None, fault)


def _source(owner: metadata.Distribution, plugin: str) -> Source:
    """Name a distribution, by its folder where its metadata are damaged."""
    folder = getattr(getattr(owner, "_path", None), "name", "unknown")
    name, version = None, None
    with Isolated(lambda fault: None):
        name, version = owner.name, owner.version
    return Source(plugin, str(name or folder), str(version or "?"))
