"""The faults of `benchmarks.chaos`: a kill at any file operation, a flipped bit, a full disk."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import KdsearchError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

KILLED = 137
"""The exit status of a process that a fault has ended."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

OPERATIONS = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod"}
)
"""Audit events (PEP 578) that change the file system; opening for writing and fsync beside them."""

TORN_BYTES = 5
"""Of the end of a file that had not reached the disk when the process died."""


class Ended(NamedTuple):
    """How a child process ended."""

    status: int
    """0; 1 for an error of kdsearch's own words; 70 for any other; KILLED."""
    text: str
    """What it returned, or the error."""


@dataclass
class Kill:
    """Ends this process at one of its file operations below a folder.

    Args:
        root: The folder.
        at: The number of the operation, from 0; None to count only.
        torn: Whether the file that is being synced then loses its last bytes.
    """

    root: Path
    at: int | None = None
    torn: bool = False
    done: list[tuple[str, str]] = field(default_factory=list)
    """Operations so far, with their paths."""

    def install(self) -> None:
        """Watch from now on; for good, so that it is done in a child process."""
        sync = os.fsync

        def fsync(handle: Any) -> None:
            path = Path(f"/proc/self/fd/{handle}").readlink()
            self._count("fsync", str(path), handle)
            sync(handle)

        os.fsync = fsync  # type: ignore[assignment]  # the parameter of another name
        sys.addaudithook(self._audited)

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[2] & WRITES:
            self._count("open", arguments[0])
        elif event in OPERATIONS and isinstance(arguments[0], str | os.PathLike):
            self._count(event, os.fspath(arguments[0]))

    def _count(self, operation: str, path: str, handle: int | None = None) -> None:
        if not str(path).startswith(str(self.root)) or path.endswith(".lock"):
            return
        if len(self.done) == self.at:
            if self.torn and handle is not None and Path(path).is_file():
                os.truncate(path, max(0, os.stat(path).st_size - TORN_BYTES))  # noqa: PTH116
            os._exit(KILLED)
        self.done.append((operation, path))


def in_child(work: Callable[[], str]) -> Ended:
    """Do something in a child process and return how that ended."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        status, text = 0, ""
        try:
            text = work()
        except KdsearchError as error:
            status, text = 1, str(error)
        except BaseException:  # the child ends here, whatever it was
            status, text = 70, traceback.format_exc()
        with os.fdopen(writing, "w") as pipe:
            pipe.write(text)
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text)


def flip_bit(file: Path, generator: random.Random) -> str:
    """Flip one bit of a file and say which."""
    content = bytearray(file.read_bytes())
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {place}"


def restore(saved: Path, place: Path) -> None:
    """Put a saved folder back where it was."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(saved, place, symlinks=True)


def mount_small(folder: Path, size: int) -> None:
    """Mount a disk of so many bytes over a folder, for this process alone.

    Raises:
        OSError: If the system does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    new_space, new_user, private, recursive = 0x20000, 0x10000000, 1 << 18, 1 << 14
    if libc.unshare(new_space) != 0:
        _check(libc.unshare(new_user | new_space), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _check(libc.mount(b"none", b"/", None, recursive | private, None), "private mounts")
    options = f"size={size}".encode()
    _check(libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options), "mount")


def grow(folder: Path, size: int) -> None:
    """Give the disk that `mount_small` mounted another size."""
    remount = 32
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size}".encode()
    _check(libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", remount, options), "remount")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
