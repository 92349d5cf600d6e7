"""Which tokens a stored tokenizer knows, read off its file.

Models of one vocabulary can be compared token by token.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ("<pad>", "</s>", "<unk>")
"""The first entries of the byte tokenizer."""


def known_tokens(tokenizer: Path) -> dict[str, int] | None:
    """Return the id of each token of a tokenizer.

    Args:
        tokenizer: A `tokenizer.json`, or the folder that holds it.

    Returns:
        None where there is no such file, as with tokenizers of older kinds.
    """
    file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    if not file.is_file():
        return None
    stored = json.loads(file.read_text(encoding="utf8"))
    entries = stored.get("model", {}).get("vocab", ())
    if not isinstance(entries, dict):  # of a unigram model: pairs of a token and its score
        entries = {token: place for place, (token, _) in enumerate(entries)}
    added = {token["content"]: token["id"] for token in stored.get("added_tokens", ())}
    return {**entries, **added}


def byte_tokens() -> dict[str, int]:
    """Return the id of each token of the byte tokenizer.

    Bytes are written as in GPT-2 (Radford et al. 2019): printable ones as themselves, the others
    from the 256th character on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    bytes_written = [*printable, *(256 + place for place, _ in enumerate(others))]
    letters = sorted(map(chr, bytes_written))
    return {token: place for place, token in enumerate([*SPECIAL, *letters])}
