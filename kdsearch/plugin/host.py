"""Discovers plugins and finds what they offer by name.

Each plugin is loaded and called by itself. A fault becomes a `Problem`, and fails a run only where
its spec needs what the faulty plugin would have offered.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pluggy import HookImpl, PluginManager, PluginValidationError

from kdsearch.errors import PluginError, SpecError, did_you_mean
from kdsearch.plugin import builtin, hookspecs
from kdsearch.plugin.api import API, Domain, Ladder, Loss
from kdsearch.plugin.contracts import offer_fault
from kdsearch.plugin.faults import Isolated, shown
from kdsearch.plugin.installed import Source, installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Offered = TypeVar("Offered")

HEAVY = ("torch", "transformers", "datasets", "ray")
"""Libraries that take seconds to import."""

HOOKS: Mapping[str, type] = {
    "kdsearch_domains": Domain,
    "kdsearch_losses": Loss,
    "kdsearch_ladders": Ladder,
}


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
        for source, point, fault in installed():
            if point is None:
                self._problem(source, fault, "uninstall it: torch cannot be imported beside it")
                continue
            if source.plugin in seen:
                if seen[source.plugin] != source:
                    self._problem(
                        source,
                        f"its entry-point name is also used by {seen[source.plugin]}",
                        "rename it",
                    )
                continue
            seen[source.plugin] = source
            modules = list[ModuleType]()
            importing = self._isolated(source, "import failed:", "repair or uninstall it")
            with importing, self._watched(source):
                modules.append(point.load())
            for module in modules:
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
        loaded = False
        with self._isolated(source, "import failed:", "repair the file"), self._watched(source):
            spec.loader.exec_module(module)
            loaded = True
        if loaded:
            self._add(source, module)
        else:
            sys.modules.pop(name, None)

    def _add(self, source: Source, module: ModuleType) -> None:
        implementations = list[tuple[str, HookImpl]]()
        with self._isolated(source, "its hooks cannot be read:", "repair it"):
            implementations += self._registered(source, module)
        for hook, implementation in implementations:
            self._call(source, hook, implementation)

    def _registered(self, source: Source, module: ModuleType) -> list[tuple[str, HookImpl]]:
        """Register a module and return the hooks that it implements."""
        stated = getattr(module, "KDSEARCH_API", None)
        if stated != API:
            fault = f"states KDSEARCH_API = {shown(stated)}"
            self._problem(source, fault, f"this host speaks {API}")
            return []
        try:
            self._manager.register(module, name=f"{source.distribution}:{source.plugin}")
        except PluginValidationError as error:
            fault = " ".join(str(error).split())
            self._problem(source, f"a hook is malformed: {fault}", "take no arguments in hooks")
            return []
        implementations = [
            (hook, implementation)
            for hook in HOOKS
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
            if implementation.plugin is module
        ]
        if not implementations:
            hooks = ", ".join(HOOKS)
            self._problem(source, "implements no hook", f"mark one of {hooks} with @hookimpl")
        return implementations

    def _call(self, source: Source, hook: str, implementation: HookImpl) -> None:
        items = list[Any]()
        with self._isolated(source, f"{hook} raised", "repair it"):
            returned = implementation.function()
            if isinstance(returned, list):
                items = list(returned)
            else:
                kind = type(returned).__name__
                self._problem(source, f"{hook} returned {kind}", "return a list")
        for item in items:
            with self._isolated(source, f"{hook}: what it offers raised", "repair it"):
                self._offer(source, hook, item)

    def _offer(self, source: Source, hook: str, item: Any) -> None:
        contract = HOOKS[hook]
        if (fault := offer_fault(contract, item)) is not None:
            message = f"{hook}: {type(item).__name__}: {fault}"
            self._problem(source, message, f"see kdsearch.plugin.{contract.__name__}")
            return
        name = item.name
        offers, taken = self._offers[hook], self._taken[hook]
        if name in taken:
            other = offers.pop(name, None)
            owner = f", first by {other.source}" if other else ""
            self._problem(source, f"{hook}: name '{name}' is taken{owner}", "rename one")
            return
        taken.add(name)
        offers[name] = Offer(item, source)

    def _isolated(self, source: Source, what: str, fix: str) -> Isolated:
        """Return what makes a problem of anything that a plugin raises within it."""
        return Isolated(partial(self._problem, source, fix=fix), what)

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


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "uninstalled"
