"""Names that become files or folders: one pattern for sizes, labels, teachers and trials."""

from __future__ import annotations

import re

NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._+@=-]*[A-Za-z0-9_+@=-])?"
"""Letters, digits and `._+@=-`; begins with a letter or digit, and does not end with a dot."""

LONGEST_NAME = 100
"""Characters: file systems hold 255 bytes, and trials add to the name of their size."""

RESERVED = frozenset({"con", "prn", "aux", "nul"})
"""No file can have these names on Windows."""


def file_name(name: str) -> str:
    """Return a name that is safe as the name of a file.

    Raises:
        ValueError: If it could lead out of its folder, or no file can have it.
    """
    fits = re.fullmatch(NAME_PATTERN, name) is not None
    if not fits or len(name) > LONGEST_NAME or name.lower() in RESERVED:
        raise ValueError(
            f"{name!r} cannot name a folder: use letters, digits and ._+@=-, first a letter or "
            f"digit, at most {LONGEST_NAME} in all"
        )
    return name
