"""The journal of a run: what happened, one JSON line an event, the source of truth.

A line counts once it is on disk, so that a killed run resumes from what it knows. The policy
replays the records; nothing here understands them.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdsearch.errors import RunError
from kdsearch.events import Event, Record

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Journal:
    """The only writer of a run's journal; a context manager.

    Opening continues the numbering and cuts off a last line that a kill left torn.

    Args:
        path: The `.jsonl` file, made if missing; the lock lies beside it as `.lock`.

    Raises:
        RunError: If another process writes it, or a line is corrupt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                "the run is in use by another process",
                where=str(path.parent),
                fix="wait until it has finished, or stop it",
            ) from error
        try:
            self.records, self._end = _parse(path) if path.exists() else ([], 0)
            self._stream = path.open("r+b" if path.exists() else "x+b", buffering=0)
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            _sync_folder(path.parent)
        except BaseException:
            self._lock.release()
            raise

    def append(self, event: Event) -> Record:
        """Write an event and return it with its place, once it is on disk.

        Raises:
            ValueError: If a field of the event is not finite.
            RunError: If the disk refuses it; the journal stays as it was.
        """
        record = Record(len(self.records), time.time(), event)
        line = json.dumps(_finite(record.to_json()), allow_nan=False, ensure_ascii=False)
        data = line.encode(errors="backslashreplace") + b"\n"  # a lone surrogate as its escape
        try:
            if self._stream.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._stream.fileno())
        except OSError as error:
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            raise RunError(
                f"the journal cannot be written: {error.strerror}",
                where=str(self.path),
                fix="make room on the disk, then resume the run",
            ) from error
        self._end += len(data)
        self.records.append(record)
        return record

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

    A torn last line is left out: the event that it began did not happen.

    Raises:
        RunError: If there is no journal, or another line is corrupt, named by its number.
    """
    if not path.is_file():
        raise RunError("no journal: this is no run directory", where=str(path))
    return _parse(path)[0]


def _parse(path: Path) -> tuple[list[Record], int]:
    """Return the records and the offset in bytes at which the last whole line ends."""
    records: list[Record] = []
    end = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        torn = number == len(lines)
        try:
            record = Record.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if torn:
                break
            raise RunError(f"corrupt line: {error}", where=f"{path}:{number}") from error
        if torn and not line.endswith(b"\n"):
            break
        if record.sequence != len(records):
            message = f"corrupt line: sequence {record.sequence} instead of {len(records)}"
            raise RunError(message, where=f"{path}:{number}")
        records.append(record)
        end += len(line)
    return records, end


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


def _sync_folder(folder: Path) -> None:
    """Put the file's directory entry on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
