"""What a user's runs have spent of the chance of a false match, by the confirm items they opened.

A second run on the same items is a second chance to be wrong. The ledger holds every opening with
hashes of its items, wherever the run lies and however its data are divided, and says what is left.
"""

from __future__ import annotations

import base64
import json
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdsearch.duplicates import question_key
from kdsearch.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from kdsearch.plugin.api import Example

SCHEMA = 1

KEY_BYTES = 8
"""Of an item's hash: two of a million items share one with a chance of 3e-8."""

OVERLAP = 0.01
"""Share of the smaller of two sets of items from which on they count as the same evidence."""

LEAST = 1e-9
"""Of alpha: what is left is never nothing, so that a test stays possible in form."""

LOCKED = 30.0
"""Seconds to wait for another process that writes; one write takes milliseconds."""

NAMED = 3
"""Runs that a warning names; the rest are counted."""


@dataclass(frozen=True)
class Opening:
    """One opening of confirm items."""

    id: str
    run: str
    time: float
    """Seconds since the epoch."""
    alpha: float
    """What it may spend of the chance of a false match."""
    family: str | None
    items: frozenset[bytes]
    spent: float
    """What it spent on tests that did not end in a match; until its run has ended, all."""


def default_path() -> Path:
    """Return the user's own ledger, by the XDG base directory specification.

    Raises:
        RunError: If the user has no home directory.
    """
    root = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not root.is_absolute():  # the specification: to be ignored then
        try:
            root = Path.home() / ".local" / "state"
        except RuntimeError as error:
            raise RunError(
                "the ledger of confirm items has no place: the home directory is unknown",
                fix="set XDG_STATE_HOME to the absolute path of a folder",
            ) from error
    return root / "kdsearch" / "confirm.jsonl"


def item_keys(examples: Iterable[Example]) -> frozenset[bytes]:
    """Return a hash of what each item asks, whatever its id, its options' order and its answer."""
    texts = (question_key(example) or f"{example.id}\n{example.question}" for example in examples)
    return frozenset(sha256(text.encode(errors="replace")).digest()[:KEY_BYTES] for text in texts)


class ConfirmLedger:
    """A file of openings that all runs of a user share.

    Each opening may spend the share `1 - reserve` of what is left of alpha. What overlapping items
    were tested for without a match is gone; a match hands its share back, as in the online fallback
    procedure (Tian & Ramdas 2021, Statistical Methods in Medical Research 30:976-993). So the
    chance of any false match over all runs of a family stays below alpha, however the runs depend
    on each other.

    Args:
        path: The file; made with its folder when first written.

    Raises:
        RunError: By every method, if the file cannot be read, written or locked.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self._lock = FileLock(self.path.with_suffix(".lock"), timeout=LOCKED)

    def check_writable(self) -> None:
        """Make the folder and the file, so that a run is refused before it has cost anything."""
        with self._locked(), self.path.open("ab"):
            pass

    def earlier(self, items: Collection[bytes], family: str | None = None) -> list[Opening]:
        """Return the openings of overlapping items, the earliest first.

        Args:
            items: By `item_keys`.
            family: Runs that share the chance of a false match.
        """
        found, keys = [], frozenset(items)
        for opening in self._openings():
            shared = len(keys & opening.items)
            least = OVERLAP * min(len(keys), len(opening.items))
            if opening.family == family and shared and shared >= least:
                found.append(opening)
        return found

    def available(self, items: Collection[bytes], alpha: float, family: str | None = None) -> float:
        """Return what earlier openings left of alpha."""
        return _left(self.earlier(items, family), alpha)

    def open(
        self,
        opening: str,
        run: str,
        items: Collection[bytes],
        alpha: float,
        reserve: float,
        family: str | None = None,
    ) -> float:
        """Record an opening, once, and return what it may spend.

        Args:
            opening: An id; one that is known keeps what it was given.
            run: The run directory, for people to read.
            items: By `item_keys`.
            alpha: The whole chance of a false match.
            reserve: The share of what is left that stays for later openings.
            family: Runs that share the chance of a false match.
        """
        self.check_writable()
        with self._locked():
            for known in self._openings():
                if known.id == opening:
                    return known.alpha
            spent = _left(self.earlier(items, family), alpha) * (1.0 - reserve)
            packed = base64.b64encode(b"".join(sorted(items))).decode()
            self._append(
                event="opened", opening=opening, run=run, time=time.time(), alpha=spent,
                family=family, items=packed,
            )  # fmt: skip
        return spent

    def settle(self, prefix: str, run: str, spent: float) -> None:
        """Record what an opening spent in the end; the rest is handed back.

        Args:
            prefix: Of its id; of several the last one is meant.
            run: The run directory; a copy elsewhere is another one.
            spent: Of the chance of a false match.
        """
        with self._locked():
            every = self._openings()
            known = [each for each in every if each.id.startswith(prefix) and each.run == run]
            if known and known[-1].spent != spent:
                self._append(event="settled", opening=known[-1].id, spent=spent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out, and tell what the disk refuses."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock:
                yield
        except Timeout as error:
            raise RunError(
                f"the ledger of confirm items has been locked for {LOCKED:.0f} s",
                where=self._lock.lock_file,
                fix="stop the process that holds it, then try again; on a network disk without "
                "locks set XDG_STATE_HOME to a folder on a local one",
            ) from error
        except OSError as error:
            raise RunError(
                f"the ledger of confirm items cannot be written: {error.strerror or error}",
                where=str(self.path),
                fix="make room and its folder writable, or name another by XDG_STATE_HOME",
            ) from error

    def _append(self, **fields: Any) -> None:
        line = json.dumps({"schema": SCHEMA, **fields}) + "\n"
        with self.path.open("r+b") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.seek(stream.read().rfind(b"\n") + 1)  # a torn line is written over
            stream.write(line.encode())
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())

    def _openings(self) -> list[Opening]:
        """Read the file; a torn last line did not happen.

        Raises:
            RunError: If another line is malformed, or the file cannot be read.
        """
        found: dict[str, Opening] = {}
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise RunError(
                f"the ledger of confirm items cannot be read: {error.strerror or error}",
                where=str(self.path),
                fix="make it readable for you, or name another folder by XDG_STATE_HOME",
            ) from error
        for number, line in enumerate(lines, start=1):
            try:
                _take(found, json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines) and not line.endswith(b"\n"):
                    break
                raise RunError(
                    f"malformed line: {error}",
                    where=f"{self.path}:{number}",
                    fix="restore the file; moved away, what it knows of earlier runs is lost",
                ) from error
        return list(found.values())


def reuse_warning(runs: Sequence[str], available: float, alpha: float) -> str:
    """Say what it means that earlier runs opened the same confirm items without a match."""
    named = ", ".join(runs[:NAMED])
    others = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return (
        f"confirm items of this run were opened before, by {named}{others}: {available:.2g} of the "
        f"{alpha:.2g} chance of a false match is left (use new items, or give a run that asks a "
        "question of its own a match.family)"
    )


def _take(found: dict[str, Opening], line: dict[str, Any]) -> None:
    if line["schema"] != SCHEMA:
        raise ValueError(f"schema {line['schema']!r}, not {SCHEMA}")
    name = line["opening"]
    if line["event"] == "settled":
        found[name] = replace(found[name], spent=float(line["spent"]))
        return
    packed = base64.b64decode(line["items"])
    keys = (packed[at : at + KEY_BYTES] for at in range(0, len(packed), KEY_BYTES))
    found[name] = Opening(
        id=name,
        run=line["run"],
        time=line["time"],
        alpha=float(line["alpha"]),
        family=line["family"],
        items=frozenset(keys),
        spent=float(line["alpha"]),
    )


def _left(openings: Iterable[Opening], alpha: float) -> float:
    return max(alpha - math.fsum(opening.spent for opening in openings), LEAST)
