"""Masks secrets of the environment in texts that are shown or kept.

An error of a plugin, or of a client that it uses, may quote a token that the environment holds;
journals, pages and tracebacks are shared.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

SECRET_WORDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIAL")
"""A variable whose name holds one of them has a secret value."""
SHORTEST = 8
"""Characters of a secret; shorter values, such as `true`, stand in many texts."""
MASK = "***"


def masked(text: str) -> str:
    """Return a text without the values of such variables, as they are, quoted or on one line."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _secrets() -> set[str]:
    found = set[str]()
    for name, value in os.environ.items():
        secret = value.strip()
        if len(secret) >= SHORTEST and any(word in name.upper() for word in SECRET_WORDS):
            forms = (secret, " ".join(secret.split()), json.dumps(secret)[1:-1], repr(secret)[1:-1])
            found |= {*forms, quote(secret, safe="")}
    return found
