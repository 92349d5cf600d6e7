"""Finds questions that are nearly the same: other words here and there, or another link.

A text is the set of its shingles, which are its words, word pairs and word triples, and those of
each option where options are the question's own. Two texts are near-duplicates at a Jaccard
similarity of 0.8 or more: one other word within 19 or more, or at the end of ten or more. MinHash
proposes pairs and the exact similarity decides, so that no pair is reported by chance. Nothing
depends on order, process or machine.

Two questions that ask for a number and give other numbers, in digits, are different questions.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.duplicates import MARKS
from kdsearch.inputs.minhash import band_keys
from kdsearch.plugin.api import Answer
from kdsearch.plugin.texts import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kdsearch.plugin.api import Domain, Example

THRESHOLD = 0.8
"""The least Jaccard similarity of near-duplicates."""
LONGEST_SHINGLE = 3
"""In words. Triples alone would let one other word hide every pair of less than 29 words."""
COMPARED = 20
"""Candidates that an item is compared with where repeats are counted: 2,500 questions of one
template take 0.3 s, not half a minute; a few repeats among many candidates are missed."""
LINK = re.compile(r"https?://\S+|www\.\S+")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class DuplicateRule(NamedTuple):
    """What a domain says of its questions, as far as near-duplicates hang on it."""

    answer: Answer = Answer.TEXT
    generated: bool = True
    """Whether templates make the questions, so that near-duplicates are intended."""

    @classmethod
    def of(cls, domain: Domain) -> DuplicateRule:
        """Return the rule of a domain."""
        return cls(domain.answer, getattr(domain, "generated", False) is True)

    def drops(self, setting: str) -> bool:
        """Whether near-duplicates are dropped under `keep`, `drop` or `auto`."""
        return setting == "drop" or (setting == "auto" and not self.generated)

    def texts(self, example: Example) -> list[list[str]]:
        """Return the words of a question and of each option that is its own."""
        own = () if self.answer is Answer.LABEL else example.choices
        texts = (example.question, *own)
        return [MARKS.sub(" ", LINK.sub(" ", plain(text))).split() for text in texts]

    def asks_number(self, example: Example) -> bool:
        """Whether the right answer to a question is, or holds, a number; a class is none."""
        if self.answer in (Answer.NUMBER, Answer.LABEL):
            return self.answer is Answer.NUMBER
        return any(map(str.isdigit, example.correct))


class NearDuplicate(NamedTuple):
    """A question that is dropped, and the one that is kept and which it nearly repeats."""

    dropped: str
    """Its id."""
    question: str
    """Its text."""
    kept: str
    """The other's id."""
    similarity: float
    """Of Jaccard."""
    split: str = ""
    """Which keeps the other."""


class NearDuplicates:
    """The questions of a domain, ready to be compared.

    Args:
        examples: With distinct ids.
        rule: The domain's.
    """

    def __init__(self, examples: Sequence[Example], rule: DuplicateRule) -> None:
        self._rule = rule
        self._examples = {example.id: example for example in examples}
        keys = band_keys([rule.texts(example) for example in examples], LONGEST_SHINGLE)
        self._bands = {examples[place].id: own for place, own in keys.items()}
        self._shingles: dict[str, frozenset[tuple[str, ...]]] = {}

    def among(self, ids: Iterable[str], kept: Iterable[str]) -> Iterator[NearDuplicate]:
        """Yield which of some examples nearly repeat one that is kept, each once.

        Args:
            ids: Of those that are looked through.
            kept: The ids of the others; the first in order of id counts.
        """
        places: dict[int, list[str]] = {}
        for name in sorted(kept):
            for band in self._bands.get(name, ()):
                places.setdefault(band, []).append(name)
        for name in ids:
            bands = self._bands.get(name, ())
            near = {other for band in bands for other in places.get(band, ())}
            for other in sorted(near):
                similarity = self._similarity(name, other)
                if similarity >= THRESHOLD:
                    question = self._examples[name].question
                    yield NearDuplicate(name, question, other, similarity)
                    break

    def repeated(self, ids: Sequence[str]) -> int:
        """Count which of some examples nearly repeat another of them, of another unit."""
        places: dict[int, list[str]] = {}
        for name in ids:
            for band in self._bands.get(name, ()):
                places.setdefault(band, []).append(name)
        return sum(self._repeats(name, places) for name in ids)

    def _repeats(self, name: str, places: Mapping[int, Sequence[str]]) -> bool:
        unit, seen = self._examples[name].unit, {name}
        for band in self._bands.get(name, ()):
            for other in places[band]:
                if other in seen:
                    continue
                if len(seen) > COMPARED:
                    return False
                seen.add(other)
                apart = unit is None or self._examples[other].unit != unit
                if apart and self._similarity(name, other) >= THRESHOLD:
                    return True
        return False

    def _similarity(self, one: str, other: str) -> float:
        own, others = self._shingles_of(one), self._shingles_of(other)
        shared = len(own & others)
        found = shared / (len(own) + len(others) - shared)
        return 0.0 if found >= THRESHOLD and self._differ_in_numbers(one, other) else found

    def _differ_in_numbers(self, one: str, other: str) -> bool:
        pair = self._examples[one], self._examples[other]
        if not any(map(self._rule.asks_number, pair)):
            return False
        first, second = (NUMBER.findall(plain(example.question)) for example in pair)
        return [n.replace(",", "") for n in first] != [n.replace(",", "") for n in second]

    def _shingles_of(self, name: str) -> frozenset[tuple[str, ...]]:
        if name not in self._shingles:
            self._shingles[name] = frozenset(
                tuple(words[start : start + length])
                for words in self._rule.texts(self._examples[name])
                for length in range(1, LONGEST_SHINGLE + 1)
                for start in range(len(words) - length + 1)
            )
        return self._shingles[name]


def near_copies(
    examples: Sequence[Example], others: Sequence[Example], rule: DuplicateRule
) -> set[str]:
    """Return the ids of examples that nearly repeat one of others, and of those of their units.

    Args:
        examples: Of one domain.
        others: Of any; an id among them may be that of an example, too.
        rule: The domain's.
    """
    own, foreign = (
        [replace(example, id=f"{place} {example.id}") for example in each]
        for place, each in enumerate((examples, others))
    )
    finder = NearDuplicates([*own, *foreign], rule)
    names = ([example.id for example in each] for each in (own, foreign))
    found = {near.dropped.partition(" ")[2] for near in finder.among(*names)}
    units = {example.unit for example in examples if example.id in found} - {None}
    return {example.id for example in examples if example.id in found or example.unit in units}
