"""What answering dev without reading would score, from the examples of train and dev."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kdsearch.plugin.union import label_of
from kdsearch.splits import independent
from kdsearch.stats.chance import Guesses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Example


def guesses_of(
    train: Sequence[Example], dev: Sequence[Example], labels: Sequence[str] = ()
) -> Guesses:
    """Return what answering dev without reading would score, on one item of each unit.

    Args:
        train: Whose most frequent answer is taken.
        dev: What is answered.
        labels: Of the domains of a search over several: each is guessed by itself.
    """
    places = independent(dev)
    if not labels:
        return _guesses_at(train, dev, places)
    each = {
        label: _guesses_at(
            [example for example in train if label_of(example.id) == label],
            dev,
            [place for place in places if label_of(dev[place].id) == label],
        )
        for label in labels
    }
    return Guesses((), (), domains=each)


def _guesses_at(train: Sequence[Example], dev: Sequence[Example], places: Sequence[int]) -> Guesses:
    counts = Counter(example.answer for example in train)
    most_frequent = min(counts, key=lambda answer: (-counts[answer], str(answer)))
    asked = [dev[place] for place in places]
    right = [float(example.answer == most_frequent) for example in asked]
    return Guesses(right, [len(example.choices) for example in asked if example.choices], places)
