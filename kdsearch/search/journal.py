"""The journal of a run: what happened, one JSON line an event, the source of truth.

A line counts once it is on disk, so that a killed run resumes from what it knows. Each line ends
with a checksum of itself and of all lines before it. The policy replays the records; nothing here
understands them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from kdsearch.errors import RunError, StorageError
from kdsearch.events import SCHEMA, Event, Record
from kdsearch.storage.folder import Folder, sync_folder

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


SUM = re.compile(rb', "sum": "([0-9a-f]{16})"\}$')
"""Ends a line: the first 16 digits of the SHA-256 of the sum before it and the line without it."""


class Journal:
    """The only writer of a run's journal; a context manager.

    Opening continues the numbering and cuts off a last line that a kill left torn.

    Args:
        path: The `.jsonl` file, made if missing; the lock lies beside it as `.lock`.

    Raises:
        RunError: If another process writes it, a line is damaged, or it is a link.
    """

    def __init__(self, path: Path) -> None:
        owned = Folder(path.absolute().parent)
        self.path = owned.path(path.name)
        self._lock = FileLock(owned.path(path.with_suffix(".lock").name), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                "the run is in use by another process",
                where=str(path.parent),
                fix="wait until it has finished, or stop it",
            ) from error
        try:
            self.records, self._end, self._sum = (
                _parse(path) if path.exists() else _Read([], 0, b"")
            )
            self._stream = path.open("r+b" if path.exists() else "x+b", buffering=0)
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            sync_folder(path.parent)
        except BaseException:
            self._lock.release()
            raise

    def append(self, event: Event) -> Record:
        """Write an event and return it with its place, once it is on disk.

        Raises:
            ValueError: If a field of the event is not finite.
            StorageError: If the disk refuses it, or the file was removed; the journal stays as it
                was.
        """
        record = Record(len(self.records), time.time(), event)
        line = json.dumps(_finite(record.to_json()), allow_nan=False, ensure_ascii=False)
        data, total = journal_line(line, self._sum)
        self._check_there()
        try:
            if self._stream.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._stream.fileno())
        except OSError as error:
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            raise StorageError(
                f"the journal cannot be written: {error.strerror}",
                where=str(self.path),
                fix="make room on the disk, then resume the run",
            ) from error
        self._end, self._sum = self._end + len(data), total
        self.records.append(record)
        return record

    def _check_there(self) -> None:
        """Notice that the file was removed or replaced while the run goes on.

        Raises:
            StorageError: If so: nothing that is written would be kept.
        """
        try:
            known = self.path.lstat()
        except OSError:
            known = None
        mine = os.fstat(self._stream.fileno())
        if known is None or (known.st_dev, known.st_ino) != (mine.st_dev, mine.st_ino):
            raise StorageError(
                "the journal was removed or replaced while the run was going on",
                where=str(self.path),
                fix="restore the run directory and resume it, or start a new run",
            )

    def close(self) -> None:
        """Let the next writer in."""
        self._stream.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> list[Record]:
    """Return the records of a journal, also of one that is being written.

    A torn last line, one without its end, is left out: the event that it began did not happen.

    Raises:
        RunError: If there is no journal, or a line is damaged, named by its number.
    """
    if not path.is_file():
        raise RunError("no journal: this is no run directory", where=str(path))
    return _parse(path).records


class _Read(NamedTuple):
    """What a journal holds."""

    records: list[Record]
    end: int
    """The offset in bytes at which the last whole line ends."""
    total: bytes
    """The checksum of all lines."""


def _parse(path: Path) -> _Read:
    records: list[Record] = []
    end, total, summed = 0, b"", False
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        found = SUM.search(line)
        body = line[: found.start()] if found else line
        total = _sum(total, body)
        try:
            record = Record.from_json(json.loads(line))
            if record.sequence != len(records):
                raise ValueError(f"sequence {record.sequence} instead of {len(records)}")
            summed = summed or record.schema == SCHEMA
            if summed and (found is None or found[1] != total):
                raise ValueError("it is not what was written, or a line before it is not")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RunError(
                f"damaged line: {error}",
                where=f"{path}:{number}",
                fix=f"restore the file; or keep the {number - 1} lines before this one and resume "
                "the run: what came after them is done again",
            ) from error
        records.append(record)
        end += len(line) + 1
    return _Read(records, end, total)


def journal_line(text: str, before: bytes) -> tuple[bytes, bytes]:
    """Return a line of a journal, and the checksum that the next one continues.

    Args:
        text: A JSON object; a lone surrogate is written as its escape.
        before: The checksum of the line before it; empty for the first.
    """
    body = text.encode(errors="backslashreplace")[:-1]
    total = _sum(before, body)
    return b'%b, "sum": "%b"}\n' % (body, total), total


def _sum(before: bytes, line: bytes) -> bytes:
    return hashlib.sha256(before + line).hexdigest()[:16].encode()


def _finite(value: Any, path: str = "", loose: bool = False) -> Any:
    """Replace what JSON cannot write inside free mappings by null; refuse it in fields."""
    if isinstance(value, dict):
        return {key: _finite(item, f"{path}.{key}", bool(path)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, path, loose) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if loose:
            return None
        raise ValueError(f"{path.lstrip('.')} is {value}: a journal holds finite numbers")
    return value
