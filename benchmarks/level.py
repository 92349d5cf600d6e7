"""Simulate searches in which every match is false, and print how often one is declared.

    python -m benchmarks.level                    # every design: 15 to 20 minutes of one core
    python -m benchmarks.level --searches 400     # quicker and coarser
    python -m benchmarks.level --only units       # the designs whose names hold a word

The policy, the tests and the ledger are those of real runs. Every student stands exactly at the
margin, so that 5 % may match; beside it stands what the rules gave that kdsearch had before.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

from benchmarks.level_designs import DESIGNS
from benchmarks.margin_worlds import searched
from benchmarks.quick_tests import FORMER, NOW, installed
from kdsearch.search.ledger import ConfirmLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.margin_worlds import Design
    from benchmarks.quick_tests import Method

LEVEL = 0.05

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the ledgers lie: they are synced to the disk at every line."""

FORMER_SHARE = 4
"""One search in so many is repeated by the former rules."""

ERRORS = 2.0
"""Monte-Carlo errors by which a design may exceed the level: of 85 designs that all reach it
exactly, two do by chance."""


class Measured(NamedTuple):
    """The false matches among searches that opened confirm."""

    false: int
    opened: int

    @property
    def share(self) -> float:
        """The share that declared one."""
        return self.false / max(1, self.opened)

    @property
    def error(self) -> float:
        """The Monte-Carlo error of the share."""
        return math.sqrt(self.share * (1.0 - self.share) / max(1, self.opened))

    @property
    def limit(self) -> float:
        """What the share may be at most."""
        return LEVEL + ERRORS * math.sqrt(LEVEL * (1.0 - LEVEL) / max(1, self.opened))

    @property
    def holds(self) -> bool:
        """Whether it is."""
        return self.share <= self.limit


def measure(design: Design, searches: int, method: Method = NOW) -> Measured:
    """Return how many searches of a design declare a false match."""
    false = opened = 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, installed(method):
        path = Path(folder) / "confirm.jsonl"
        for number in range(searches):
            generator = np.random.default_rng((crc32(design.name.encode()), number))
            count = searched(design, method, generator, ConfirmLedger(path))
            path.unlink(missing_ok=True)
            false += count.false_match
            opened += count.opened
    return Measured(false, opened)


HEAD = f"{'':50}{'opened':>8}{'false':>8}{'+-':>7}{'limit':>8}{'before':>9}"


def line(name: str, now: Measured, former: Measured | None) -> str:
    """Draw a design's line."""
    mark = "" if now.holds else "  EXCEEDED"
    before = "-" if former is None else f"{former.share:.2%}"
    return (
        f"{name:50}{now.opened:8,}{now.share:8.2%}{now.error:7.2%}{now.limit:8.2%}{before:>9}{mark}"
    )


def report(designs: Sequence[Design], searches: int) -> bool:
    """Print the table; return whether every design keeps its limit."""
    started = time.perf_counter()
    print(
        f"every student exactly at the margin, {searches:,} searches a design\n"
        f"(a quarter of them by the rules from before)\n\n{HEAD}"
    )
    kept = True
    for design in designs:
        now = measure(design, searches)
        fewer = max(1, searches // FORMER_SHARE)
        former = measure(design, fewer, FORMER) if design.former else None
        print(line(design.name, now, former), flush=True)
        kept &= now.holds
    print(f"\n{time.perf_counter() - started:.0f} s")
    return kept


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=4000)
    parser.add_argument("--only", default="", metavar="WORD")
    options = parser.parse_args()
    designs = [design for design in DESIGNS if options.only in design.name]
    if not designs:
        parser.error(f"no design's name holds '{options.only}'")
    return 0 if report(designs, options.searches) else 1


if __name__ == "__main__":
    sys.exit(main())
