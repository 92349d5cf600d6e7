"""Shows characters that a terminal or browser would obey, or hide, as escapes.

Questions, answers, names and errors come from anywhere: ESC and the C1 controls move the cursor or
set the window's title, bidirectional controls reorder a line, zero-width characters make two names
look alike. Newlines and tabs stay; see Unicode Technical Report 36, section 3.
"""

from __future__ import annotations

import json
import re
import unicodedata

OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: controls, formats, surrogates, and separators of lines and paragraphs."""
SUSPECT = re.compile(r"[^ -~\n\t]")
"""What is worth a look at its category."""


def visible(text: str) -> str:
    r"""Return a text with such characters as `\x1b`, `\u202e` or `\ud800`."""
    return SUSPECT.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Return JSON with such characters as `\u001b`, which reads back the same."""
    return SUSPECT.sub(_json_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in OBEYED:
        return character
    return character.encode("unicode_escape").decode()


def _json_escape(found: re.Match[str]) -> str:
    character = found[0]
    obeyed = unicodedata.category(character) in OBEYED
    return json.dumps(character)[1:-1].replace("\x7f", "\\u007f") if obeyed else character
