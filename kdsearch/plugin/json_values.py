"""Parses JSON that strangers wrote: what Python would take and the rest of a run could not.

Numbers without end, lone surrogates and nesting without bottom are refused where the line is known,
instead of breaking a hash, a file or the interpreter's stack later.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that is one half of a pair, or stands alone."""


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: If it is no JSON, is nested too deeply for the parser, or holds `NaN`, a number
            beyond those of a double or of 4,300 digits, or half of a surrogate pair.
    """
    try:
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if SURROGATE.search(text):
        check_encodable(json.dumps(found, ensure_ascii=False))
    return found


def check_encodable(text: str) -> None:
    r"""Refuse half of a surrogate pair, such as `\ud800`, which no file can hold.

    Raises:
        ValueError: If there is one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise ValueError(f"half of a surrogate pair, {half}, is no character") from error


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON: write null")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number
