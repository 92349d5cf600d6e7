"""What a run records of the code of its plugins, to see it change."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.plugin.union import Union
from kdsearch.storage import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kdsearch.spec.parts import Parts


def plugin_hashes(parts: Parts) -> dict[str, str]:
    """Return, by plugin that a search uses, its version with the hash of the file that defines it.

    Those of kdsearch itself are told by its own version.
    """
    found: dict[str, str] = {}
    for stage in (*parts.earlier, parts):
        for kind, plugin in _plugins(stage):
            module = type(plugin).__module__
            if module.partition(".")[0] == "kdsearch":
                continue
            file = inspect.getsourcefile(type(plugin))
            source = digest(Path(file)) if file and Path(file).is_file() else ""
            version = getattr(plugin, "version", "")
            found[f"{kind} '{plugin.name}'"] = f"{version} {source}"
    return found


def check_plugins(recorded: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse to go on with other plugins than a run began with.

    Raises:
        RunError: If one has changed; what was trained and judged before would not compare.
    """
    changed = [name for name, value in found.items() if recorded.get(name, value) != value]
    if changed:
        raise RunError(
            f"the code has changed since the run began: {', '.join(changed)}",
            fix="restore the plugin, or start a new run",
        )


def _plugins(stage: Parts) -> Iterator[tuple[str, Any]]:
    domain = stage.domain
    members = [each.domain for each in domain.members] if isinstance(domain, Union) else [domain]
    yield from (("domain", member) for member in members)
    yield from (("loss", loss) for loss in stage.losses.values())
    yield "ladder", stage.ladder
