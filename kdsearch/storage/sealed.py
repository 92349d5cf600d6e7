"""JSON files that carry the digest of their own content."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kdsearch.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEAL = "sha256"
"""The last key of a sealed file."""


def sealed(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return a JSON text with the digest of what it holds."""
    stored = json.loads(json.dumps(dict(content)))
    return json.dumps({**stored, SEAL: _digest(stored)}, indent=indent) + "\n"


def read_sealed(file: Path, *, optional: bool = False) -> dict[str, Any]:
    """Read what `sealed` returned.

    Args:
        file: Holds it.
        optional: Whether the digest may be missing, as in files of older versions.

    Raises:
        DamagedFileError: If the file cannot be read or is not what was written.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf8"))
    except FileNotFoundError as error:
        raise DamagedFileError("it is missing", where=str(file)) from error
    except OSError as error:
        raise DamagedFileError(f"it cannot be read: {error.strerror}", where=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"it is not valid JSON: {error}", where=str(file)) from error
    found = stored.pop(SEAL, None) if isinstance(stored, dict) else ""
    if found != _digest(stored) and not (found is None and optional):
        raise DamagedFileError("it is not what was written", where=str(file))
    return dict(stored)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
