"""Where a model that a spec names lies: a folder, or the hub's copy in the local cache.

Nothing here loads a model. Only weights in safetensors, configurations and tokenizers are fetched.
"""

from __future__ import annotations

import hashlib
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from kdsearch.errors import ModelError

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
"""An owner and a name, and a branch, tag or commit after `@`."""

FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What a model needs; no pickle and no code is among it."""


def model_folder(name: str, *, download: bool = False) -> Path:
    """Return the folder of a model.

    Args:
        name: A folder, or a model of the hub such as `google/flan-t5-small`, with `@REVISION` for
            another than its main branch.
        download: Whether the hub may be asked; else its local cache alone is.

    Raises:
        ModelError: If there is no such folder and no such model.
    """
    if Path(name).exists() or not HUB_NAME.fullmatch(name):
        return Path(name)
    repository, _, revision = name.partition("@")
    # By name: it takes half a second to import, and few specs need it.
    hub: Any = import_module("huggingface_hub")
    asked = {"revision": revision or None, "allow_patterns": list(FILES)}
    try:
        return Path(hub.snapshot_download(repository, local_files_only=True, **asked))
    except (OSError, ValueError) as missing:
        if not download:
            raise ModelError(
                "no such folder, and no model of the hub that has been downloaded",
                where=name,
                fix=f"check the path, or fetch it: hf download {_arguments(repository, revision)}",
            ) from missing
    try:
        return Path(hub.snapshot_download(repository, **asked))
    except Exception as error:  # refused, moved, no network: the client raises a dozen classes
        raise ModelError(
            f"no such folder, and it cannot be loaded from the hub: {_cause(error)}",
            where=name,
            fix="check the name, or give the folder of a downloaded copy",
        ) from error


def _cause(error: BaseException) -> str:
    """Return the first line of an error whole, and of the others what fits."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    told = lines[0] if lines else type(error).__name__
    for line in lines[1:]:
        if len(told) + len(line) >= LONGEST_CAUSE:
            break
        told = f"{told} {line}"
    return told


def located(name: str) -> str:
    """Return a model's name so that it means the same model anywhere and any time.

    A folder's path becomes absolute; a model of the hub is downloaded and gets its commit.

    Raises:
        ModelError: As `model_folder`.
    """
    folder = model_folder(name, download=True)
    if Path(name).exists() or not HUB_NAME.fullmatch(name):
        return str(folder.absolute())
    return f"{name.partition('@')[0]}@{folder.name}"  # the cache names a copy by its commit


def fingerprint(folder: Path) -> str:
    """Hash the weights of a model folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _arguments(repository: str, revision: str) -> str:
    return repository + (f" --revision {revision}" if revision else "")


LONGEST_CAUSE = 400
"""Characters of the hub client's own words, unless its first line is longer."""
