"""Discovers plugins and finds what they offer by name.

Each plugin is loaded and called by itself. A fault becomes a `Problem`, and fails a run only where
its spec needs what the faulty plugin would have offered.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pluggy import HookImpl, PluginManager, PluginValidationError

from kdsearch.errors import PluginError, SpecError, did_you_mean
from kdsearch.plugin import builtin, hookspecs
from kdsearch.plugin.api import API, Domain, Ladder, Loss
from kdsearch.plugin.faults import raised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

Offered = TypeVar("Offered")

HEAVY = ("torch", "transformers", "datasets", "ray")
"""Libraries that take seconds to import."""

FAILURES = (Exception, SystemExit)
"""A plugin may fail in any way, a script that ends itself included; it is shown and left out."""

HOOKS: Mapping[str, type] = {
    "kdsearch_domains": Domain,
    "kdsearch_losses": Loss,
    "kdsearch_ladders": Ladder,
}


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Problem:
    """A recorded fault of a plugin."""

    source: Source
    fault: str
    fix: str

    def __str__(self) -> str:
        return f"{self.source}: {self.fault} ({self.fix})"


@dataclass(frozen=True)
class Offer(Generic[Offered]):
    """One thing that a plugin offers, with its owner."""

    item: Offered
    source: Source


class Host:
    """All that the installed plugins offer, and what is wrong with them.

    Args:
        files: Python files to load as plugins besides the installed ones.
    """

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self.files = tuple(dict.fromkeys(path.resolve() for path in files))
        self.problems: list[Problem] = []
        self.slow: list[Problem] = []
        """Plugins that load a heavy library at their top, which delays every command."""
        self._offers: dict[str, dict[str, Offer[Any]]] = {hook: {} for hook in HOOKS}
        self._taken: dict[str, set[str]] = {hook: set() for hook in HOOKS}
        self._manager = PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._add(Source("builtin", "kdsearch-llm", _version("kdsearch-llm")), builtin)
        self._load_entry_points()
        for path in self.files:
            self._load_file(path)

    @property
    def domains(self) -> Mapping[str, Offer[Domain]]:
        """The domains by name."""
        return self._offers["kdsearch_domains"]

    @property
    def losses(self) -> Mapping[str, Offer[Loss]]:
        """The loss terms by name."""
        return self._offers["kdsearch_losses"]

    @property
    def ladders(self) -> Mapping[str, Offer[Ladder]]:
        """The ladders by name."""
        return self._offers["kdsearch_ladders"]

    def domain(self, name: str) -> Domain:
        """Return the domain of that name, or say which there are."""
        return cast("Domain", self._find("domain", self.domains, name))

    def loss(self, name: str) -> Loss:
        """Return the loss term of that name, or say which there are."""
        return cast("Loss", self._find("loss", self.losses, name))

    def ladder(self, name: str) -> Ladder:
        """Return the ladder of that name, or say which there are."""
        return cast("Ladder", self._find("ladder", self.ladders, name))

    def _find(self, kind: str, offers: Mapping[str, Offer[Any]], name: str) -> Any:
        if name in offers:
            return offers[name].item
        message = f"unknown {kind} '{name}': {did_you_mean(name, offers)}"
        if self.problems:
            faults = "; ".join(str(problem) for problem in self.problems)
            raise PluginError(f"{message}; broken plugins that may offer it: {faults}")
        raise SpecError(message)

    def _load_entry_points(self) -> None:
        seen: dict[str, Source] = {}
        points = metadata.entry_points(group=hookspecs.GROUP)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            owner = point.dist
            source = Source(
                point.name, owner.name if owner else "unknown", owner.version if owner else "?"
            )
            if point.name in seen:
                if seen[point.name] != source:
                    self._problem(
                        source,
                        f"its entry-point name is also used by {seen[point.name]}",
                        "rename it",
                    )
                continue
            seen[point.name] = source
            try:
                with self._watched(source):
                    module = point.load()
            except FAILURES as error:
                self._problem(source, f"import failed: {raised(error)}", "repair or uninstall it")
                continue
            self._add(source, module)

    def _load_file(self, path: Path) -> None:
        source = Source(path.stem, str(path), "file")
        if not path.is_file():
            raise SpecError("no such plugin file", where=str(path))
        name = f"kdsearch_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise SpecError("not a Python file", where=str(path))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pydantic look annotations up there
        try:
            with self._watched(source):
                spec.loader.exec_module(module)
        except FAILURES as error:
            del sys.modules[name]
            self._problem(source, f"import failed: {raised(error)}", "repair the file")
            return
        self._add(source, module)

    def _add(self, source: Source, module: ModuleType) -> None:
        stated = getattr(module, "KDSEARCH_API", None)
        if stated != API:
            self._problem(source, f"states KDSEARCH_API = {stated}", f"this host speaks {API}")
            return
        try:
            self._manager.register(module, name=f"{source.distribution}:{source.plugin}")
        except PluginValidationError as error:
            fault = " ".join(str(error).split())
            self._problem(source, f"a hook is malformed: {fault}", "take no arguments in hooks")
            return
        implementations = [
            (hook, implementation)
            for hook in HOOKS
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
            if implementation.plugin is module
        ]
        if not implementations:
            hooks = ", ".join(HOOKS)
            self._problem(source, "implements no hook", f"mark one of {hooks} with @hookimpl")
        for hook, implementation in implementations:
            self._call(source, hook, implementation)

    def _call(self, source: Source, hook: str, implementation: HookImpl) -> None:
        try:
            items = implementation.function()
        except FAILURES as error:
            self._problem(source, f"{hook} raised {raised(error)}", "repair it")
            return
        if not isinstance(items, list):
            self._problem(source, f"{hook} returned {type(items).__name__}", "return a list")
            return
        for item in items:
            self._offer(source, hook, item)

    def _offer(self, source: Source, hook: str, item: Any) -> None:
        contract = HOOKS[hook]
        missing = sorted(name for name in _members(contract) if not hasattr(item, name))
        if missing:
            fault = f"{hook}: {item!r} lacks {', '.join(missing)}"
            self._problem(source, fault, f"see kdsearch.plugin.{contract.__name__}")
            return
        offers, taken = self._offers[hook], self._taken[hook]
        if item.name in taken:
            other = offers.pop(item.name, None)
            owner = f", first by {other.source}" if other else ""
            self._problem(source, f"{hook}: name '{item.name}' is taken{owner}", "rename one")
            return
        taken.add(item.name)
        offers[item.name] = Offer(item, source)

    @contextmanager
    def _watched(self, source: Source) -> Iterator[None]:
        """Note which heavy libraries an import loads."""
        before = set(sys.modules)
        yield
        loaded = [name for name in HEAVY if name in sys.modules and name not in before]
        if loaded:
            fault = f"imports {', '.join(loaded)} at its top"
            self.slow.append(Problem(source, fault, "import it in the functions that need it"))

    def _problem(self, source: Source, fault: str, fix: str) -> None:
        self.problems.append(Problem(source, fault, fix))


def _members(contract: type) -> set[str]:
    """Return the attributes and methods that a protocol asks for."""
    methods = {name for name in vars(contract) if not name.startswith("_")}
    return methods | {name for name in contract.__annotations__ if not name.startswith("_")}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "uninstalled"
