"""Refuses a DeepSpeed configuration that cannot work, before anything is trained by it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from kdsearch.errors import SpecError


def check_deepspeed(file: str, where: str) -> None:
    """Look at a configuration and for the package.

    Args:
        file: As the spec names it.
        where: The key that does.

    Raises:
        SpecError: If the file is none, it asks for what is not possible here, or DeepSpeed is not
            installed.
    """
    try:
        known = json.loads(Path(file).read_text(encoding="utf8"))
    except OSError as error:
        raise SpecError(f"cannot read {file}: {error.strerror}", where=where) from error
    except ValueError as error:
        raise SpecError(f"{file} is not valid JSON: {error}", where=where) from error
    if not isinstance(known, dict):
        raise SpecError(f"{file} holds no mapping", where=where)
    if _stage(known) == 3:
        raise SpecError(
            f"{file} asks for ZeRO stage 3, which splits the weights that answer dev",
            where=where,
            fix="use stage 1 or 2",
        )
    if find_spec("deepspeed") is None:
        raise SpecError(
            "DeepSpeed is not installed here",
            where=where,
            fix="pip install deepspeed on every node, or leave the key out",
        )


def _stage(known: dict[str, object]) -> object:
    zero = known.get("zero_optimization")
    return zero.get("stage") if isinstance(zero, dict) else None
