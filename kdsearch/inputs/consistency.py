"""Checks that every process of a run reads the same examples and asks them in the same words.

A run records hashes of what its driver read; whoever loads the data again compares its own. What
the examples say, whatever their order, is hashed by `splits.fingerprint`; here are their order, the
order of the classes, and the prompts of some examples.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kdsearch.errors import InconsistentDataError
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.union import Union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.plugin.api import Domain, Example

SAMPLE = 32
"""Prompts of a split that are compared."""
KINDS = {"order": "the same examples in another order", "prompts": "other prompts"}
"""What it means that a split differs in one hash and in none before."""
CONTENTS = dict.fromkeys(("train", "dev", "confirm", "data"), "other examples")
CONTENTS["classes"] = "others, or in another order"


def input_hashes(
    domain: Domain, options: Any, splits: Mapping[str, Sequence[Example]], prefix: str = ""
) -> dict[str, str]:
    """Return hashes of the order of each split, of the classes, and of some prompts.

    Args:
        domain: Whose examples they are.
        options: The domain's.
        splits: Those that are compared; the prompts of `confirm` are not made.
        prefix: Before each name.

    Raises:
        PluginError: If the domain itself fails.
    """
    found = {}
    with PluginCall(f"domain '{domain.name}'", "format or classes"):
        for split, examples in splits.items():
            found[f"{prefix}{split}.order"] = _hash([example.id for example in examples])
            if split != "confirm":
                step = max(1, -(-len(examples) // SAMPLE))
                prompts = [asdict(domain.format(e, options)) for e in examples[::step]]
                found[f"{prefix}{split}.prompts"] = _hash(prompts)
        found[f"{prefix}classes"] = _hash(_classes(domain, options))
    return found


def check_consistent(
    domain: str, recorded: Mapping[str, str], found: Mapping[str, str], who: str
) -> None:
    """Refuse hashes that differ from those recorded; what was not recorded is not compared.

    Args:
        domain: Its name.
        recorded: Of the process that began.
        found: Of this one.
        who: Loaded the data once more, for the message.

    Raises:
        InconsistentDataError: If one differs.
    """
    changed = changes(recorded, found)
    if changed:
        raise InconsistentDataError(
            f"{who}: {'; '.join(changed)}",
            where=f"domain '{domain}'",
            fix="load() must give the same examples, and format() the same prompts, each time: "
            "draw at random by a fixed seed, and sort what comes out of sets and folders",
        )


def changes(recorded: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say of each split in what it differs: in its content, else in its order, else in prompts."""
    differing = [name for name, value in found.items() if recorded.get(name, value) != value]
    told: dict[str, str | None] = {}
    for name in differing:
        kind = name.rpartition(".")[2]
        if kind not in KINDS:
            told[name] = CONTENTS.get(kind)
    for kind, how in KINDS.items():
        for name in differing:
            if name.endswith(f".{kind}"):
                told.setdefault(name.removesuffix(f".{kind}"), how)
    verbs = ((name, "differ" if name.endswith("s") else "differs") for name in told)
    return [f"{name} {verb}{f' ({told[name]})' if told[name] else ''}" for name, verb in verbs]


def _classes(domain: Domain, options: Any) -> list[Any]:
    if isinstance(domain, Union):
        return [_classes(member.domain, member.options) for member in domain.members]
    named = getattr(domain, "classes", None)
    return list(named(options)) if named else []


def _hash(values: Sequence[Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
