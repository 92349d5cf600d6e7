"""Items that are added to confirm after a run has ended, where the first ones did not decide.

They are new to the run: no split of it, nor an earlier look, asks the same or nearly the same.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from kdsearch.duplicates import question_key
from kdsearch.errors import DataError
from kdsearch.inputs.near_duplicates import near_copies
from kdsearch.inputs.units import count_items, unit_name, units_in_order
from kdsearch.inputs.validation import checked
from kdsearch.plugin.api import Example
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kdsearch.inputs.near_duplicates import DuplicateRule

FOLDER = "added"
"""Of a run directory, with a file for each later look."""


SEVERAL = ("aliases", "choices")
"""What JSON holds as lists."""


def split_name(look: int) -> str:
    """Return what the items of a look are called: `confirm`, then `confirm-2` and so on."""
    return "confirm" if look == 1 else f"confirm-{look}"


def new_items(
    loaded: Iterable[Example],
    held: Sequence[Example],
    wanted: int,
    *,
    seed: int,
    look: int,
    domain: str,
    rule: DuplicateRule | None = None,
    key: str = "domain.options.path",
) -> list[Example]:
    """Draw items that ask nothing that is held; those of one unit come together and count once.

    Args:
        loaded: What may be drawn: the run's reserve, or all that other data hold.
        held: All that the run trains on, steers by or has decided by.
        wanted: How many items, or units where items come in units.
        seed: Fixes the order in which they are drawn.
        look: They are for; it stands in ids that the run knows, since other data may number items
            alike.
        domain: Its name, for errors.
        rule: How near-duplicates are told; None where they are kept.
        key: Where the spec names the data, for errors.

    Raises:
        DataError: If there are too few, or an example is malformed.
    """
    asked, units = {question_key(example) for example in held}, set(map(unit_name, held))
    ids = {example.id for example in held}
    fresh: list[Example] = []
    for example in checked(loaded, domain):
        question = question_key(example)
        seen = example.id in ids if question is None else question in asked
        if not seen and not (example.unit is not None and unit_name(example) in units):
            fresh.append(example)
        asked |= set() if question is None else {question}
    near = near_copies(fresh, held, rule) if rule is not None else set()
    drawn: list[Example] = []
    left = [
        unit for unit in units_in_order(fresh, seed) if not near & {e.id for e in unit.examples}
    ]
    for unit in left[:wanted]:
        drawn += unit.examples
    if len(left) < wanted:
        word = "items" if count_items(left) == len(left) else "units"
        raise DataError(
            f"{wanted:,} new confirm {word} are asked for, and there are {len(left):,} that the "
            "run has not used",
            where=f"domain '{domain}'",
            fix=f"ask for fewer, or name more data, such as --set {key}=FILE; a run keeps items "
            "apart by splits.reserve",
        )
    return [
        replace(example, id=_renamed(example.id, look)) if example.id in ids else example
        for example in drawn
    ]


def _renamed(name: str, look: int) -> str:
    """Return an id of its own, behind the label of a domain among several."""
    label, colon, rest = name.rpartition(":")
    return f"{label}{colon}look{look}-{rest}"


def added_path(run: Path, split: str) -> Path:
    """Return where the items of a look are kept."""
    return run / FOLDER / f"{split}.jsonl"


def write_added(run: Path, split: str, examples: Sequence[Example]) -> None:
    """Write the items of a look whole, one JSON object a line."""
    lines = [json.dumps(example.said, ensure_ascii=True) for example in examples]
    Folder(run).write(added_path(run.absolute(), split), "\n".join(lines) + "\n")


def read_added(run: Path, split: str) -> tuple[Example, ...]:
    """Read what `write_added` wrote.

    Raises:
        DataError: If the file is missing or cut, or a line was changed to what is no item.
    """
    path = added_path(run, split)
    fix = "restore the file: the run has opened confirm with these items"
    try:
        lines = path.read_text(encoding="utf8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise DataError(f"cannot be read: {reason}", where=str(path), fix=fix) from error
    found = []
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            found.append(Example(**{**line, **{name: tuple(line[name]) for name in SEVERAL}}))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            where = f"{path}:{number}"
            raise DataError(f"malformed item: {error}", where=where, fix=fix) from error
    return tuple(found)
