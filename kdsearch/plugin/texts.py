"""How texts are tidied, compared and named: the same for every domain."""

from __future__ import annotations

import unicodedata
from hashlib import sha256

QUESTION_WORDS = ("what", "where", "how", "why", "who", "when", "which")


def stable_id(*texts: str) -> str:
    """Return 16 hexadecimal digits that hang on the texts alone, as `plain` reads them."""
    return sha256("\n".join(map(plain, texts)).encode()).hexdigest()[:16]


def plain(text: str) -> str:
    """Return a text without case or variants of characters, whitespace normalised."""
    return tidy(unicodedata.normalize("NFKC", text).casefold())


def tidy(text: str) -> str:
    """Return a text with each run of whitespace one space, none at its ends."""
    return " ".join(text.split())


def shortened(text: str) -> str:
    """Return a text quoted for an error, 60 characters at most."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def question_word(question: str) -> str:
    """Return the word that a question opens with, such as `who`, or `other`."""
    first = plain(question).partition(" ")[0]
    return first if first in QUESTION_WORDS else "other"
