"""Decides which examples fit, which steer and which decide.

Official splits that dev or confirm name are taken whole. The pool is what train may use: the
official split that it names, else all that dev and confirm did not take. From it confirm and then
dev draw their counts and shares, in the order of sha256(seed, unit or id) and whole units at a
time; then a reserve for later additions to confirm, which is in no split; train is what remains of
the pool, or its own count of that. A dev or confirm that is `rest` gets all that the others leave;
without one, what no split asked for is left out.

Each question is asked once. Of copies (see `duplicates`) an official confirm keeps its own, before
an official dev, before the pool: train loses to both. Of copies in the pool the first in the order
of the seed is kept, before anything is drawn, so that counts come out as asked.

Where near-duplicates are dropped (see `inputs.near_duplicates`), those of confirm leave before dev
is drawn, those of dev before train is; confirm is what it would be without. A unit of which one
question is dropped leaves whole. Only a split that is drawn or claimed before a confirm or dev that
is `rest` comes out smaller than asked.

Nothing depends on the order in which a domain yields its examples, and confirm stays as it is when
the size of dev changes.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.duplicates import question_key, without_copies
from kdsearch.errors import DataError, did_you_mean
from kdsearch.inputs.near_duplicates import (
    DuplicateRule,
    NearDuplicate,
    NearDuplicates,
    near_copies,
)
from kdsearch.inputs.tally import Tally
from kdsearch.inputs.units import Unit, count_items, draw_rank, rank_of, unit_name, units_in_order
from kdsearch.inputs.validation import checked
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.reading import Examples
from kdsearch.plugin.union import Union, label_of, labelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plugin.api import Domain, Example
    from kdsearch.plugin.reading import Counts
    from kdsearch.spec.models import Splits

Size = str | float | int
OFFICIAL = "official:"
POOL = "pool"
SHOWN = 3
"""Near-duplicates that are shown, of those that are dropped."""
RESERVE = "reserve"
HOMES = ("confirm", "dev", POOL, None)
"""From where an example is drawn: a question is kept by the first of them."""


class Assigned(NamedTuple):
    """The examples of each split, disjoint, each in the order of the seed."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    confirm: tuple[Example, ...]


class Divided(NamedTuple):
    """The splits, and what was left out of them."""

    splits: Assigned
    tally: Tally
    reserve: tuple[Example, ...] = ()
    """Kept for later additions to confirm; counted as unused."""


class Loaded(NamedTuple):
    """What a domain yields."""

    domain: str
    examples: tuple[Example, ...]
    counts: Counts | None
    """Of the rows that it read; None where it does not count them."""
    members: tuple[Loaded, ...] = ()
    """Of several domains in one, each alone, `domain` being its label."""
    rule: DuplicateRule = DuplicateRule()
    """How the domain's near-duplicates are told; of several domains, each has its own."""

    def divide(self, splits: Splits, seed: int) -> Divided:
        """Divide the examples, and count what the domain itself left out of its rows, too.

        Of several domains each is divided as if it were alone.
        """
        if self.members:
            return _together(self, splits, seed)
        divided = divide(self.examples, splits, seed, domain=self.domain, rule=self.rule)
        if (counts := self.counts) is None:
            return divided
        tally = divided.tally._replace(
            loaded=counts.rows,
            deduplicated=divided.tally.deduplicated + counts.repeats - counts.leaked,
            leaked=divided.tally.leaked + counts.leaked + counts.divided,
            skipped=counts.skipped,
        )
        return divided._replace(tally=tally)

    def near(self, train: Sequence[Example], held: Sequence[Example], splits: Splits) -> set[str]:
        """Return the ids of training examples that are dropped for others that are held.

        Args:
            train: Of this domain, or of these.
            held: Of any domain.
            splits: Whether near-duplicates are dropped.
        """
        if self.members:
            own = ([e for e in train if label_of(e.id) == m.domain] for m in self.members)
            pairs = zip(self.members, own, strict=True)
            return set().union(*(member.near(each, held, splits) for member, each in pairs))
        drops = self.rule.drops(splits.near_duplicates)
        return near_copies(train, held, self.rule) if drops else set()


def _together(whole: Loaded, splits: Splits, seed: int) -> Divided:
    """Divide several domains, and train on no question that another is or may be judged by."""
    each = {member.domain: member.divide(splits, seed) for member in whole.members}
    found: dict[str, list[Example]] = {
        name: [labelled(e, label) for label, one in each.items() for e in getattr(one.splits, name)]
        for name in Assigned._fields
    }
    reserve = [labelled(e, label) for label, one in each.items() for e in one.reserve]
    held = [*found["dev"], *found["confirm"], *reserve]
    asked = {question_key(example) for example in held} - {None}
    train = [example for example in found["train"] if question_key(example) not in asked]
    near = whole.near(train, held, splits)
    tallies = [one.tally for one in each.values()]
    examples = [
        pair._replace(dropped=f"{label}:{pair.dropped}", kept=f"{label}:{pair.kept}")
        for label, one in each.items()
        for pair in one.tally.near_examples
    ]
    tally = Tally.total(tallies, tuple(examples[:SHOWN]))
    tally = tally._replace(
        leaked=tally.leaked + len(found["train"]) - len(train),
        near_duplicates=tally.near_duplicates + len(near),
    )
    found["train"] = [example for example in train if example.id not in near]
    assigned = Assigned(**{name: tuple(examples) for name, examples in found.items()})
    return Divided(assigned, tally, tuple(reserve))


def assign(
    examples: Iterable[Example],
    splits: Splits,
    seed: int,
    *,
    domain: str = "domain",
    rule: DuplicateRule | None = None,
) -> Assigned:
    """Assign examples to train, dev and confirm; see `divide`."""
    return divide(examples, splits, seed, domain=domain, rule=rule).splits


def divide(
    examples: Iterable[Example],
    splits: Splits,
    seed: int,
    *,
    domain: str = "domain",
    rule: DuplicateRule | None = None,
) -> Divided:
    """Leave out copies and assign what is left to train, dev and confirm.

    Args:
        examples: All that the domain yields, in any order.
        splits: What the spec asks for.
        seed: Fixes the order from which counts and shares are drawn.
        domain: Its name, for errors.
        rule: How its near-duplicates are told; under `auto` they are kept unless it is given.

    Raises:
        DataError: If a split ends empty or short, an official split is unknown or shares a unit
            with another split, or an example is malformed.
        PluginError: If what the domain yields are no examples.
    """
    known = checked(examples, domain)
    return _Assigner(known, splits, seed, f"domain '{domain}'", rule or DuplicateRule()).divide()


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
    with PluginCall(f"domain '{domain.name}'", "load"):
        return _loaded(domain, options)


def _loaded(domain: Domain, options: Any) -> Loaded:
    try:
        yielded = domain.load(options)
        examples = tuple(yielded)
    except OSError as error:
        where = str(error.filename) if error.filename else f"domain '{domain.name}'"
        raise DataError(f"cannot be read: {error.strerror or error}", where=where) from error
    counts = yielded.counts if isinstance(yielded, Examples) else None
    return Loaded(domain.name, examples, counts, rule=DuplicateRule.of(domain))


def fingerprint(examples: Iterable[Example]) -> str:
    """Return a hash of what examples say, whatever their order."""
    lines = sorted(
        json.dumps(example.said, sort_keys=True, ensure_ascii=True) for example in examples
    )
    return sha256("\n".join(lines).encode()).hexdigest()


def units_of(examples: Iterable[Example]) -> dict[str, str]:
    """Return the unit of each example by its id; nothing where every example stands alone."""
    names = {example.id: unit_name(example) for example in examples}
    return names if len(set(names.values())) < len(names) else {}


def independent(examples: Sequence[Example]) -> list[int]:
    """Return the places of examples that do not depend on each other: the first of each unit."""
    first: dict[str, int] = {}
    for place, example in enumerate(examples):
        first.setdefault(unit_name(example), place)
    return list(first.values())


class _Assigner:
    """Draws the splits one after the other from what is left."""

    def __init__(
        self,
        examples: Sequence[Example],
        splits: Splits,
        seed: int,
        where: str,
        rule: DuplicateRule,
    ) -> None:
        self.sizes: dict[str, Size] = splits.model_dump(include={*Assigned._fields, RESERVE})
        self.seed = seed
        self.loaded = len(examples)
        self.official = sorted({example.split for example in examples if example.split is not None})
        self.copies = without_copies(examples, self._rank, self._home)
        self.units = units_in_order(self.copies.kept, seed)
        self.where = where
        drops = rule.drops(splits.near_duplicates)
        natural = not rule.generated
        finder = NearDuplicates(self.copies.kept, rule) if drops or natural else None
        self.finder, self.natural = finder if drops else None, finder if natural else None
        self.near: list[NearDuplicate] = []
        self.reserve: Sequence[Unit] = ()
        self.dropped = 0

    def divide(self) -> Divided:
        splits, (_, deduplicated, leaked) = self._assigned(), self.copies
        left_out = deduplicated + leaked + self.dropped
        unused = self.loaded - left_out - sum(map(len, splits))
        tally = Tally(self.loaded, deduplicated, leaked, unused, near_duplicates=self.dropped)
        tally = tally._replace(near_examples=tuple(self.near[:SHOWN]))
        if self.natural is not None:
            dev, confirm = ([e.id for e in split] for split in (splits.dev, splits.confirm))
            repeats = self.natural.repeated(dev), self.natural.repeated(confirm)
            tally = tally._replace(dev_repeats=repeats[0], confirm_repeats=repeats[1])
        reserve = (example for unit in self.reserve for example in unit.examples)
        return Divided(splits, tally, tuple(reserve))

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
        return order, draw_rank(self.seed, unit_name(example)), example.id

    def _assigned(self) -> Assigned:
        left, taken = self.units, dict[str, list[Unit]]()
        for split in ("confirm", "dev"):
            if _official(self.sizes[split]):
                taken[split], left = self._claim(split, left)
        pool, left = self._claim("train", left) if _official(self.sizes["train"]) else (left, [])
        whole = count_items(pool)
        for split in ("confirm", "dev", RESERVE, "train"):
            if self.sizes[split] and not isinstance(self.sizes[split], str):
                taken[split], pool = self._draw(split, pool, whole)
            if split == "train" or split not in taken or self.sizes["confirm"] == "rest":
                continue
            pool = self._apart(pool, split, taken[split])
            if split == "confirm" and "dev" in taken:
                taken["dev"] = self._apart(taken["dev"], split, taken[split])
            if self.sizes["dev"] == "rest":
                left = self._apart(left, split, taken[split])
        self.reserve = taken.pop(RESERVE, ())
        if "train" not in taken:
            taken["train"], pool = pool, []
        rest = [*left, *pool]  # at most one split is `rest`, by the spec's own rule
        for last in ("confirm", "dev"):
            if self.sizes[last] == "rest":
                taken[last] = rest
                taken["dev"] = self._apart(taken["dev"], "confirm", taken["confirm"])
                for split in ("confirm", "dev"):
                    taken["train"] = self._apart(taken["train"], split, taken[split])
        listed = {split: self._listed(split, taken.get(split, rest)) for split in Assigned._fields}
        return Assigned(**listed)

    def _apart(self, units: list[Unit], split: str, kept: Sequence[Unit]) -> list[Unit]:
        """Return units without those that nearly repeat a question of a split that is kept."""
        if self.finder is None:
            return units
        names = (
            [example.id for unit in each for example in unit.examples] for each in (units, kept)
        )
        found = [near._replace(split=split) for near in self.finder.among(*names)]
        ids = {near.dropped for near in found}
        apart = [unit for unit in units if not any(e.id in ids for e in unit.examples)]
        self.near += found
        self.dropped += count_items(units) - count_items(apart)
        return apart

    def _claim(self, split: str, units: list[Unit]) -> tuple[list[Unit], list[Unit]]:
        """Take an official split whole."""
        name = str(self.sizes[split]).removeprefix(OFFICIAL)
        if name not in self.official:
            advice = did_you_mean(name, self.official)
            raise DataError(f"{split}: no official split '{name}': {advice}", where=self.where)
        claimed: list[Unit] = []
        others: list[Unit] = []
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

    def _draw(self, split: str, pool: list[Unit], whole: int) -> tuple[list[Unit], list[Unit]]:
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
            raise DataError(message, where=self.where, fix=self._fix)
        return pool, []

    @property
    def _fix(self) -> str:
        if not self.dropped:
            return "ask for fewer"
        return f"ask for fewer, or keep the {self.dropped:,} near-duplicates"

    def _listed(self, split: str, units: list[Unit]) -> tuple[Example, ...]:
        if not units:
            message = f"{split} ends empty: the other splits take every example"
            raise DataError(message, where=self.where, fix=self._fix)
        return tuple(example for unit in sorted(units, key=rank_of) for example in unit.examples)


def _official(size: Size) -> bool:
    return isinstance(size, str) and size.startswith(OFFICIAL)
