"""The one writer: every file that kdsearch writes goes through a `Folder`.

A file is there whole or not at all, and on disk before anything says that it is: it is written
beside its place, synced, renamed, and its folder synced. Nothing leaves the folder: no path out of
it, and no link on the way, is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from kdsearch.errors import RunError, StorageError
from kdsearch.storage.disk_errors import storage_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRAFT = ".new"
"""Ends the name of what is not there yet; a kill may leave it, and the next write replaces it."""


class Folder:
    """A folder that kdsearch owns.

    Args:
        root: Nothing outside of it is written. It may be a link itself, or lie behind one; nothing
            below it may.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def path(self, *parts: str | Path) -> Path:
        """Return a place inside.

        Raises:
            RunError: If it is outside.
            StorageError: If there is a link on the way.
        """
        place = self.root.joinpath(*parts)
        if not place.is_relative_to(self.root) or ".." in place.parts[len(self.root.parts) :]:
            raise RunError(f"{place} lies outside of the folder", where=str(self.root))
        below = place.parts[len(self.root.parts) :]
        for count in range(1, 1 + len(below)):
            step = self.root.joinpath(*below[:count])
            if step.is_symlink():
                raise StorageError(
                    "a link stands where kdsearch writes",
                    where=str(step),
                    fix="remove it: links inside of this folder are not followed",
                )
        return place

    def make(self, *parts: str | Path) -> Path:
        """Make a folder, and those that it lies in; return it."""
        place = self.path(*parts)
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
        return place

    def write(self, place: str | Path, content: str | bytes) -> Path:
        """Write a file whole, and make the folders that it lies in; return it."""
        target = self.path(place)
        data = content.encode("utf8") if isinstance(content, str) else content
        draft = self.path(target.with_name(f"{target.name}{DRAFT}"))
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
            sync_folder(target.parent)
        return target

    def append(self, place: str | Path, content: str) -> None:
        """Append to a file that may end torn: its reader leaves out what is not whole."""
        target = self.path(place)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                file.write(content.encode("utf8"))
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def stream(self, place: str | Path) -> Iterator[IO[bytes]]:
        """Open a file to write pieces of it, made if missing; it is synced at the end."""
        target = self.path(place)
        with writing(target):
            target.touch()
            with target.open("r+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def fill(self, *parts: str | Path) -> Iterator[Path]:
        """Fill a folder that takes the place of another, whole or not at all.

        Yields:
            An empty folder for libraries that write on their own.
        """
        target = self.path(*parts)
        draft = self.path(target.with_name(f"{target.name}{DRAFT}"))
        self.remove(draft)
        with writing(target):
            try:
                draft.mkdir(parents=True)
                yield draft
                settle(draft)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)  # makes room on a full disk
                raise
            self.remove(target)
            draft.replace(target)
            sync_folder(target.parent)

    def copy(self, source: Path, *parts: str | Path) -> Path:
        """Copy a folder to the place of another, whole or not at all; return it."""
        with self.fill(*parts) as draft:
            shutil.copytree(source, draft, dirs_exist_ok=True, symlinks=False)
        return self.path(*parts)

    def remove(self, *parts: str | Path) -> None:
        """Remove a file or a folder with all that it holds, if it is there."""
        place = self.path(*parts)
        if place == self.root:
            raise RunError("it is not removed as a whole", where=str(place))
        with writing(place):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)


def make_run_directory(run: Path, *, shared: bool) -> None:
    """Make a run directory that nobody else reads, unless it is shared.

    Raises:
        RunError: If it cannot be made.
    """
    try:
        run.mkdir(parents=True, exist_ok=True, mode=0o777 if shared else 0o700)
        if not shared:  # it may have been there, empty
            run.chmod(0o700)
    except OSError as error:
        raise RunError(
            f"the run directory cannot be made: {error.strerror}", where=str(run)
        ) from error


def write_output(file: Path, content: str) -> None:
    """Write a file that the user named.

    Raises:
        RunError: If it cannot be written.
    """
    if not file.absolute().parent.is_dir():
        raise RunError("there is no such folder", where=str(file.parent), fix="make it first")
    try:
        Folder(file.absolute().parent).write(file.name, content)
    except StorageError as error:
        raise RunError(error.message, where=str(file), fix="name another file") from error


def settle(folder: Path) -> None:
    """Put all that a library wrote into a folder on disk, readable as the user's umask says.

    safetensors makes files that nobody else reads.
    """
    mask = os.umask(0)
    os.umask(mask)
    for place in [*folder.rglob("*"), folder]:
        if place.is_file():
            place.chmod((stat.S_IMODE(place.stat().st_mode) | 0o666) & ~mask)
            with place.open("rb") as file:
                os.fsync(file.fileno())
        elif place.is_dir():
            place.chmod((stat.S_IMODE(place.stat().st_mode) | 0o777) & ~mask)
            sync_folder(place)


def sync_folder(folder: Path) -> None:
    """Put the entries of a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise as a fault of the storage what comes of a full disk, a lost mount or missing rights.

    Raises:
        StorageError: If the file cannot be written.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # libraries hide the system's error in one of their own
        fault = storage_fault(error)
        if fault is None and not isinstance(error, OSError):
            raise
        words = fault or (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(
            f"it cannot be written: {words}",
            where=str(place),
            fix="make room, or make it writable, then go on",
        ) from error
