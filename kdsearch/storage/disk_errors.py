"""Faults of the machine that hold files, told apart from faults of a trial."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from kdsearch.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
ERRNOS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ESTALE,
        errno.EFBIG,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.ENODEV,
        errno.ENXIO,
        errno.EHOSTDOWN,
    }
)
"""No space, quota, device fault, read-only, too many open files, file system or device gone."""

WORDS = tuple(os.strerror(number).lower() for number in sorted(ERRNOS))
"""The same in the texts of libraries that do not pass the number on, such as safetensors."""


def storage_fault(error: BaseException) -> str | None:
    """Return what of the machine's storage an error comes from; None where it does not.

    Args:
        error: Causes and contexts are looked at too.
    """
    for each in _chain(error):
        if isinstance(each, StorageError):
            return each.message
        if isinstance(each, OSError) and each.errno in ERRNOS:
            return os.strerror(each.errno)
        text = str(each).lower()
        named = next((words for words in WORDS if words in text), None)
        if named is not None and not isinstance(each, OSError):
            return named
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
