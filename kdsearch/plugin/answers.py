"""How a free answer is judged against the gold one and its aliases.

Texts are compared as SQuAD does (Rajpurkar et al. 2016, section 6.1 and its evaluation script),
numbers by value.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from kdsearch.plugin.api import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plugin.api import Example, Prediction

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
NUMBER = re.compile(r"(?:(?<![\w.])-)?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")


def normalized(text: str) -> str:
    """Return a text in lower case without punctuation, articles and spare whitespace.

    Only ASCII punctuation goes, as in the reference script.
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(given: str, golds: Iterable[str]) -> float:
    """Return 1 if a text is, once normalised, one of the gold ones, else 0."""
    return float(normalized(given) in {normalized(gold) for gold in golds})


def token_f1(given: str, golds: Iterable[str]) -> float:
    """Return the F1 of a text's words against the nearest gold one.

    Where one of the two has no words, they agree only if neither has.
    """
    return max(_token_f1(normalized(given).split(), normalized(gold).split()) for gold in golds)


def _token_f1(given: Sequence[str], gold: Sequence[str]) -> float:
    if not given or not gold:
        return float(given == gold)
    common = sum((Counter(given) & Counter(gold)).values())
    return 2 * common / (len(given) + len(gold))


def text_scores(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
    """Score free answers as `exact_match` and `token_f1`, the best over gold answer and aliases."""
    exact, graded = [], []
    for given, example in zip(predictions, examples, strict=True):
        golds = (str(example.answer), *example.aliases)
        exact.append(exact_match(given.text, golds))
        graded.append(token_f1(given.text, golds))
    return Scores({"exact_match": exact, "token_f1": graded})


def last_number(text: str) -> Decimal | None:
    """Return the last number of a text, None if it has none; commas between thousands are read."""
    found = [match for match in NUMBER.findall(text) if any(map(str.isdigit, match))]
    return Decimal(found[-1].replace(",", "")) if found else None


def number_scores(predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
    """Score numbers as `accuracy`: the last of the answer against the gold one, by value."""
    pairs = zip(predictions, examples, strict=True)
    right = [
        float(
            (found := last_number(given.text)) is not None
            and found == last_number(str(gold.answer))
        )
        for given, gold in pairs
    ]
    return Scores({"accuracy": right})
