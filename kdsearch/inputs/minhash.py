"""MinHash with banding: proposes pairs of texts that may share most of their shingles.

Broder 1997; Leskovec, Rajaraman and Ullman 2014, chapter 3. The hashes are the same in every
process and on every machine.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Hashes = NDArray[numpy.uint64]
    Item = Sequence[Sequence[str]]

BANDS, ROWS = 25, 5
"""A pair of similarity 0.8 is missed once in 20,000 pairs, one of 0.2 proposed in 0.8 %: 10,000
texts of 25 words take 0.5 s to hash and 0.5 s to compare (tests/inputs/test_near_duplicates.py)."""
BLOCK = 2000
"""Texts hashed at once, which bounds the memory to about 10 MB of shingles of 100 words each."""


def band_keys(items: Sequence[Item], longest: int) -> dict[int, Sequence[int]]:
    """Return by place the keys of an item's bands; an item without words has none.

    Args:
        items: Each as the words of its texts; a shingle stands in one text.
        longest: The words of the longest shingle.
    """
    found: dict[int, Sequence[int]] = {}
    for start in range(0, len(items), BLOCK):
        block = _bands(items[start : start + BLOCK], longest)
        found |= {start + place: keys for place, keys in block.items()}
    return found


def _bands(items: Sequence[Item], longest: int) -> dict[int, Sequence[int]]:
    codes: dict[str, int] = {}
    words: list[int] = []
    ends: list[int] = []  # of the text that the word stands in
    owners: list[int] = []
    for place, item in enumerate(items):
        for text in item:
            end = len(words) + len(text)
            for word in text:
                if (code := codes.get(word)) is None:
                    code = codes[word] = _hash(word)
                words.append(code)
            ends += [end] * len(text)
            owners += [place] * len(text)
    if not words:
        return {}
    hashed = numpy.array(words, dtype=numpy.uint64)
    owner, last = numpy.array(owners), numpy.array(ends)
    shingles, places = _shingle_hashes(hashed, last, owner, longest)
    names, starts = numpy.unique(places, return_index=True)
    least = numpy.empty((len(names), BANDS * ROWS), dtype=numpy.uint64)
    for column, (factor, term) in enumerate(_functions()):
        least[:, column] = numpy.minimum.reduceat(shingles * factor + term, starts)
    keys = numpy.zeros((len(names), BANDS), dtype=numpy.uint64)
    for row in range(ROWS):
        keys = _mixed(keys + least[:, row::ROWS])
    keys += numpy.arange(BANDS, dtype=numpy.uint64)
    return dict(zip(names.tolist(), _mixed(keys).tolist(), strict=True))


def _shingle_hashes(
    words: Hashes, ends: NDArray[numpy.int64], owners: NDArray[numpy.int64], longest: int
) -> tuple[Hashes, NDArray[numpy.int64]]:
    """Return the hash of every shingle, and whose it is, in the order of the items."""
    places = numpy.arange(len(words))
    current, hashes, found = words, [_mixed(words)], [owners]
    for length in range(2, longest + 1):
        current = _mixed(current[:-1]) + words[length - 1 :]
        inside = places[: len(current)] + length <= ends[: len(current)]
        hashes.append(_mixed(current[inside]))
        found.append(owners[: len(current)][inside])
    owner = numpy.concatenate(found)
    order = numpy.argsort(owner, kind="stable")
    return numpy.concatenate(hashes)[order], owner[order]


def _mixed(values: Hashes) -> Hashes:
    """Return 64-bit hashes of 64-bit values (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return values ^ (values >> numpy.uint64(31))


def _functions() -> Iterator[tuple[numpy.uint64, numpy.uint64]]:
    """Yield an odd factor and a term for each of the hash functions."""
    for number in range(BANDS * ROWS):
        yield numpy.uint64(_hash(f"factor {number}") | 1), numpy.uint64(_hash(f"term {number}"))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
