"""Decides which examples fit, which steer and which decide.

Official splits that dev or confirm name are taken whole. The pool is what train may use: the
official split that it names, else all that dev and confirm did not take. From it confirm and then
dev draw their counts and shares, in the order of sha256(seed, unit or id) and whole units at a
time; train is what remains of the pool, or its own count of that. A dev or confirm that is `rest`
gets all that the others leave; without one, what no split asked for is left out.

Each question is asked once. Of copies (see `duplicates`) an official confirm keeps its own, before
an official dev, before the pool: train loses to both. Of copies in the pool the first in the order
of the seed is kept, before anything is drawn, so that counts come out as asked.

Nothing depends on the order in which a domain yields its examples, and confirm stays as it is when
the size of dev changes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.duplicates import question_key, without_copies
from kdsearch.errors import DataError, KdsearchError, PluginError, did_you_mean
from kdsearch.plugin.api import Example
from kdsearch.plugin.faults import raised
from kdsearch.plugin.reading import Examples
from kdsearch.plugin.union import Union, labelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plugin.api import Domain
    from kdsearch.plugin.reading import Counts
    from kdsearch.spec.models import Splits

Size = str | float | int
OFFICIAL = "official:"
POOL = "pool"
HOMES = ("confirm", "dev", POOL, None)
"""From where an example is drawn: a question is kept by the first of them."""


class Assigned(NamedTuple):
    """The examples of each split, disjoint, each in the order of the seed."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    confirm: tuple[Example, ...]


class Tally(NamedTuple):
    """What became of the rows of a domain."""

    loaded: int
    deduplicated: int
    """Copies left out that would have been drawn from where the kept one was."""
    leaked: int
    """Copies left out of train, or of dev, of what an official split asks."""
    unused: int
    """Asked for by no split."""
    skipped: int = 0
    """Malformed, and left out because the spec says so."""

    @property
    def copies(self) -> int:
        """All copies that were left out."""
        return self.deduplicated + self.leaked


class Divided(NamedTuple):
    """The splits, and what was left out of them."""

    splits: Assigned
    tally: Tally


class Loaded(NamedTuple):
    """What a domain yields."""

    domain: str
    examples: tuple[Example, ...]
    counts: Counts | None
    """Of the rows that it read; None where it does not count them."""
    members: tuple[Loaded, ...] = ()
    """Of several domains in one, each alone, `domain` being its label."""

    def divide(self, splits: Splits, seed: int) -> Divided:
        """Divide the examples, and count what the domain itself left out of its rows, too.

        Of several domains each is divided as if it were alone.
        """
        if self.members:
            return _together(self.members, splits, seed)
        divided, counts = divide(self.examples, splits, seed, domain=self.domain), self.counts
        if counts is None:
            return divided
        tally = Tally(
            loaded=counts.rows,
            deduplicated=divided.tally.deduplicated + counts.repeats - counts.leaked,
            leaked=divided.tally.leaked + counts.leaked + counts.divided,
            unused=divided.tally.unused,
            skipped=counts.skipped,
        )
        return divided._replace(tally=tally)


def _together(members: Sequence[Loaded], splits: Splits, seed: int) -> Divided:
    """Divide several domains, and train on no question that another one is judged by."""
    each = {member.domain: member.divide(splits, seed) for member in members}
    held = {
        question_key(example)
        for divided in each.values()
        for split in (divided.splits.dev, divided.splits.confirm)
        for example in split
    } - {None}
    found: dict[str, list[Example]] = {name: [] for name in Assigned._fields}
    for label, divided in each.items():
        for name, examples in divided.splits._asdict().items():
            kept = (e for e in examples if name != "train" or question_key(e) not in held)
            found[name] += [labelled(example, label) for example in kept]
    leaked = sum(len(one.splits.train) for one in each.values()) - len(found["train"])
    counts = zip(*(one.tally for one in each.values()), strict=True)
    tally = Tally(*map(sum, counts))
    assigned = Assigned(**{name: tuple(examples) for name, examples in found.items()})
    return Divided(assigned, tally._replace(leaked=tally.leaked + leaked))


def assign(
    examples: Iterable[Example], splits: Splits, seed: int, *, domain: str = "domain"
) -> Assigned:
    """Assign examples to train, dev and confirm; see `divide`."""
    return divide(examples, splits, seed, domain=domain).splits


def divide(
    examples: Iterable[Example], splits: Splits, seed: int, *, domain: str = "domain"
) -> Divided:
    """Leave out copies and assign what is left to train, dev and confirm.

    Args:
        examples: All that the domain yields, in any order.
        splits: What the spec asks for.
        seed: Fixes the order from which counts and shares are drawn.
        domain: Its name, for errors.

    Raises:
        DataError: If a split ends empty or short, an official split is unknown or shares a unit
            with another split, or an example is malformed.
        PluginError: If what the domain yields are no examples.
    """
    return _Assigner(checked(examples, domain), splits, seed, f"domain '{domain}'").divide()


def load_examples(domain: Domain, options: Any) -> tuple[Example, ...]:
    """Return all that a domain yields; see `load`."""
    return load(domain, options).examples


def load(domain: Domain, options: Any) -> Loaded:
    """Return all that a domain yields, and what it left out if it says so.

    Raises:
        DataError: If its files are missing or malformed.
        PluginError: If the domain itself fails.
    """
    if isinstance(domain, Union):
        members = [
            load(each.domain, each.options)._replace(domain=each.label) for each in domain.members
        ]
        every = (labelled(each, part.domain) for part in members for each in part.examples)
        return Loaded(domain.name, tuple(every), None, tuple(members))
    try:
        yielded = domain.load(options)
        examples = tuple(yielded)
        counts = yielded.counts if isinstance(yielded, Examples) else None
        return Loaded(domain.name, examples, counts)
    except KdsearchError:
        raise
    except OSError as error:
        where = str(error.filename) if error.filename else f"domain '{domain.name}'"
        raise DataError(f"cannot be read: {error.strerror or error}", where=where) from error
    except Exception as error:  # a plugin may fail in any way
        raise PluginError(
            f"load raised {raised(error)}", where=f"domain '{domain.name}'"
        ) from error


def fingerprint(examples: Iterable[Example]) -> str:
    """Return a hash of what examples say, whatever their order."""
    lines = sorted(
        json.dumps(asdict(example), sort_keys=True, ensure_ascii=True) for example in examples
    )
    return sha256("\n".join(lines).encode()).hexdigest()


def units_of(examples: Iterable[Example]) -> dict[str, str]:
    """Return the unit of each example by its id; nothing where every example stands alone."""
    names = {example.id: _unit_name(example) for example in examples}
    return names if len(set(names.values())) < len(names) else {}


def independent(examples: Sequence[Example]) -> list[int]:
    """Return the places of examples that do not depend on each other: the first of each unit."""
    first: dict[str, int] = {}
    for place, example in enumerate(examples):
        first.setdefault(_unit_name(example), place)
    return list(first.values())


def checked(examples: Iterable[Example], domain: str) -> list[Example]:
    """Return the examples, ids distinct and answers among the options.

    Raises:
        DataError: If there is none, or one is malformed.
        PluginError: If what the domain yields are no examples.
    """
    seen: set[str] = set()
    found = []
    for example in examples:
        if not isinstance(example, Example) or not isinstance(example.id, str):
            fault = f"load yielded {example!r:.80}; an Example whose id is text was expected"
            raise PluginError(fault, where=f"domain '{domain}'")
        where = f"domain '{domain}', example '{example.id}'"
        if example.id in seen:
            raise DataError("another example has the same id", where=where)
        seen.add(example.id)
        _check_answer(example, where)
        found.append(example)
    if not found:
        raise DataError("it has no examples", where=f"domain '{domain}'")
    return found


def _check_answer(example: Example, where: str) -> None:
    answer = example.answer
    if not example.choices:
        if not isinstance(answer, str):
            raise DataError(f"its answer {answer!r} is no text and it has no choices", where=where)
        return
    options = len(example.choices)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < options:
        raise DataError(
            f"its answer {answer!r} is none of its {options} options",
            where=where,
            fix=f"an answer is an index from 0 to {options - 1}",
        )


class _Unit(NamedTuple):
    """Examples that stay together, with their place in the order of the seed."""

    rank: bytes
    examples: tuple[Example, ...]


class _Assigner:
    """Draws the splits one after the other from what is left."""

    def __init__(self, examples: Sequence[Example], splits: Splits, seed: int, where: str) -> None:
        self.sizes: dict[str, Size] = splits.model_dump()
        self.seed = seed
        self.loaded = len(examples)
        self.official = sorted({example.split for example in examples if example.split is not None})
        self.copies = without_copies(examples, self._rank, self._home)
        self.units = _units(self.copies.kept, seed)
        self.where = where

    def divide(self) -> Divided:
        splits, (_, deduplicated, leaked) = self._assigned(), self.copies
        unused = self.loaded - deduplicated - leaked - sum(map(len, splits))
        return Divided(splits, Tally(self.loaded, deduplicated, leaked, unused))

    def _home(self, example: Example) -> str | None:
        """Return which split takes an example for certain, or the pool; None where none asks."""
        for split in ("confirm", "dev"):
            if self.sizes[split] == f"{OFFICIAL}{example.split}":
                return split
        train = self.sizes["train"]
        if not _official(train) or train == f"{OFFICIAL}{example.split}":
            return POOL
        return next((split for split in ("confirm", "dev") if self.sizes[split] == "rest"), None)

    def _rank(self, example: Example) -> tuple[int, bytes, str]:
        """Order examples by who keeps a question, then as they are drawn."""
        order = HOMES.index(self._home(example))
        return order, _draw_rank(self.seed, _unit_name(example)), example.id

    def _assigned(self) -> Assigned:
        left, taken = self.units, dict[str, list[_Unit]]()
        for split in ("confirm", "dev"):
            if _official(self.sizes[split]):
                taken[split], left = self._claim(split, left)
        pool, left = self._claim("train", left) if _official(self.sizes["train"]) else (left, [])
        whole = _count(pool)
        for split in ("confirm", "dev", "train"):
            if not isinstance(self.sizes[split], str):
                taken[split], pool = self._draw(split, pool, whole)
        if "train" not in taken:
            taken["train"], pool = pool, []
        rest = [*left, *pool]  # at most one split is `rest`, by the spec's own rule
        listed = {split: self._listed(split, taken.get(split, rest)) for split in Assigned._fields}
        return Assigned(**listed)

    def _claim(self, split: str, units: list[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
        """Take an official split whole."""
        name = str(self.sizes[split]).removeprefix(OFFICIAL)
        if name not in self.official:
            advice = did_you_mean(name, self.official)
            raise DataError(f"{split}: no official split '{name}': {advice}", where=self.where)
        claimed: list[_Unit] = []
        others: list[_Unit] = []
        for unit in units:
            names = {example.split for example in unit.examples}
            if name in names and len(names) > 1:
                listing = ", ".join(sorted(map(str, names)))
                raise DataError(
                    f"{split}: unit '{unit.examples[0].unit}' lies in several splits: {listing}",
                    where=self.where,
                    fix="ask for counts or shares, which keep units whole",
                )
            (claimed if name in names else others).append(unit)
        return claimed, others

    def _draw(self, split: str, pool: list[_Unit], whole: int) -> tuple[list[_Unit], list[_Unit]]:
        """Take whole units until a count, or a share of the whole pool, is reached."""
        size = self.sizes[split]
        wanted = size if isinstance(size, int) else int(float(size) * whole + 1e-9)
        if wanted < 1:
            message = f"{split} ends empty: {size} of {whole:,} examples is less than one"
            raise DataError(message, where=self.where)
        taken = 0
        for index, unit in enumerate(pool):
            if taken >= wanted:
                return pool[:index], pool[index:]
            taken += len(unit.examples)
        if taken < wanted:
            message = f"{split} asks for {wanted:,} items, and {taken:,} of {whole:,} are left"
            raise DataError(message, where=self.where, fix="ask for fewer")
        return pool, []

    def _listed(self, split: str, units: list[_Unit]) -> tuple[Example, ...]:
        if not units:
            message = f"{split} ends empty: the other splits take every example"
            raise DataError(message, where=self.where, fix="ask for fewer")
        return tuple(example for unit in sorted(units, key=_rank) for example in unit.examples)


def _units(examples: Iterable[Example], seed: int) -> list[_Unit]:
    """Return the units in the order of sha256(seed, unit or id)."""
    members: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: example.id):
        members[_unit_name(example)].append(example)
    ranked = [_Unit(_draw_rank(seed, name), tuple(unit)) for name, unit in members.items()]
    return sorted(ranked, key=_rank)


def _draw_rank(seed: int, unit: str) -> bytes:
    return sha256(f"{seed}:{unit}".encode()).digest()


def _unit_name(example: Example) -> str:
    """Name an example's unit; one that has none is a unit of its own."""
    return f"id {example.id}" if example.unit is None else f"unit {example.unit}"


def _rank(unit: _Unit) -> bytes:
    return unit.rank


def _count(units: Iterable[_Unit]) -> int:
    return sum(len(unit.examples) for unit in units)


def _official(size: Size) -> bool:
    return isinstance(size, str) and size.startswith(OFFICIAL)
