"""Break a small search in every way and see that nothing is lost, repeated or silently different.

    python -m benchmarks.chaos

prints a table of five campaigns:

* kills: the process ends before each of its file operations, and, at each sync, with the end of the
  file torn off; then the run is resumed;
* flips: one bit of a file is flipped in a run that has finished, one about to test on confirm, and
  one with a checkpoint; then the run is resumed;
* full disk: the run lies on a disk that is too small (a tmpfs, so Linux only), which then grows;
* removal: the journal or the whole run directory is removed while the run is going on;
* mutations: commands read mutated tables and specs, and find broken plugins.

A case is `same` if the run ends with the same answer, `told` if an error, warning or event names
what happened, `silent` if the answer is another one without a word, `wedged` if the run can neither
end nor say why not, and `repeated` if a finished trial was trained again without need. The last
three must not occur; exit status 1 if one does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmarks.chaos_faults import (
    KILLED,
    Ended,
    Kill,
    flip_bit,
    grow,
    in_child,
    mount_small,
    restore,
)
from benchmarks.chaos_search import SmallSearch, answer_of, events_of, repeated_trials
from benchmarks.mutations import campaign
from kdsearch.search.journal import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SAME, TOLD, SILENT, WEDGED, REPEATED = "same", "told", "silent", "wedged", "repeated"
CAMPAIGNS = ("kills", "flips", "full disk", "removal", "mutations")
OUTCOMES = (SAME, TOLD, SILENT, WEDGED, REPEATED)

SMALLEST_DISK, DISK_STEP, WHOLE_DISK = 160_000, 30_000, 2**26
"""Bytes: the small search takes about 600 kB."""

CHECKS = ("kdsearch.distill.jobs", "kdsearch.distill.supply", "kdsearch.run.prepared_search")
"""Modules that ask for free space before they write."""


class Case(NamedTuple):
    """What came of one fault."""

    campaign: str
    outcome: str
    detail: str


class Bench:
    """The small search in a folder, with its reference answer.

    Args:
        root: For everything.
    """

    def __init__(self, root: Path) -> None:
        os.environ["XDG_STATE_HOME"] = str(root / "work" / "state")
        torch.set_num_threads(1)  # a forked child has no others
        self.root, self.work = root, root / "work"
        self.work.mkdir(parents=True)
        self.run = self.work / "run"
        self.search = SmallSearch(root)
        self.reference = answer_of(self.search.begin(self.run))
        self.finished = self.saved("finished")

    def saved(self, name: str) -> Path:
        """Keep the work folder as it is now."""
        restore(self.work, self.root / name)
        return self.root / name

    def fresh(self) -> None:
        """Empty the work folder."""
        shutil.rmtree(self.work)
        self.work.mkdir()

    def operations(self) -> list[tuple[str, str]]:
        """Return all file operations of an undisturbed run, in a child process."""
        self.fresh()
        kill = Kill(self.work)

        def work() -> str:
            kill.install()
            self.search.begin(self.run)
            return json.dumps(kill.done)

        return [(name, path) for name, path in json.loads(in_child(work).text)]

    def killed(self, at: int, *, torn: bool = False) -> int:
        """Run in a child process that ends at an operation; return its exit status."""
        self.fresh()

        def work() -> str:
            Kill(self.work, at, torn).install()
            return answer_of(self.search.begin(self.run))

        return in_child(work).status

    def resumed(self) -> Ended:
        """Go on in a child process, and return the answer."""
        return in_child(lambda: answer_of(self.search.begin(self.run)))

    def judged(self, campaign: str, detail: str, ended: Ended) -> Case:
        """Say what came of a fault, once the run was resumed."""
        if ended.status == 1:
            return Case(campaign, TOLD, f"{detail}: {ended.text}")
        if ended.status != 0:
            return Case(campaign, WEDGED, f"{detail}: {ended.text}")
        if repeated := repeated_trials(self.run):
            return Case(campaign, REPEATED, f"{detail}: {repeated}")
        if ended.text != self.reference:
            return Case(campaign, SILENT, f"{detail}: {ended.text}")
        repaired = "trial_repaired" in events_of(self.run)
        return Case(campaign, TOLD if repaired else SAME, detail)


def kills(bench: Bench, every: int = 1) -> Iterator[Case]:
    """Kill the run at each of its file operations, or at every so many."""
    operations = bench.operations()
    for place, (name, path) in list(enumerate(operations))[::every]:
        for torn in (False, True) if name == "fsync" else (False,):
            where = f"{place} {name} {Path(path).relative_to(bench.work)}{' torn' if torn else ''}"
            if bench.killed(place, torn=torn) != KILLED:
                yield Case("kills", WEDGED, f"{where}: it was not reached")
                continue
            case = bench.judged("kills", where, bench.resumed())
            # A kill is no fault of the disk: the run must end, not only say something.
            yield case._replace(outcome=WEDGED) if case.outcome == TOLD else case


def flips(bench: Bench, count: int, seed: int = 0) -> Iterator[Case]:
    """Flip bits in files of each kind, so many a kind, in a run at three places of its way."""
    operations = bench.operations()
    sealed = [place for place, (name, path) in enumerate(operations) if _seals(name, path)]
    bench.killed(sealed[-1] + 1)
    bases = {"finished": bench.finished, "checkpoint": bench.saved("checkpoint")}
    bench.fresh()
    in_child(lambda: str(bench.search.until(bench.run, "confirm_opened")))
    bases["confirm opened"] = bench.saved("opened")
    generator = random.Random(seed)
    files = {name: _by_kind(folder / "run") for name, folder in bases.items()}
    for kind in sorted({kind for kinds in files.values() for kind in kinds}):
        having = [name for name, kinds in files.items() if kind in kinds]
        for number in range(count):
            name = having[number % len(having)]
            restore(bases[name], bench.work)
            file = bench.run / generator.choice(files[name][kind]).relative_to(bases[name] / "run")
            where = f"{name}, {file.relative_to(bench.run)}, {flip_bit(file, generator)}"
            yield bench.judged(f"flips: {kind}", where, bench.resumed())


def full_disks(bench: Bench, sizes: Sequence[int]) -> Iterator[Case]:
    """Run on a disk of each size, then on one that is large enough.

    Every other time nobody asks for free space before writing.
    """
    for place, size in enumerate(sizes):
        bench.fresh()

        def work(size: int = size, asked: bool = place % 2 == 0) -> str:
            for name in () if asked else CHECKS:
                setattr(import_module(name), "check_space", lambda *_: None)  # noqa: B010
            mount_small(bench.work, size)
            first = in_child(lambda: answer_of(bench.search.begin(bench.run)))
            failed = _failed(bench.run)
            grow(bench.work, WHOLE_DISK)
            case = bench.judged("full disk", f"{size:,} bytes: {first.text[:200]}", bench.resumed())
            if first.status not in (0, 1) or failed or case.outcome == TOLD:
                case = case._replace(outcome=WEDGED, detail=f"{case.detail} {first} {failed}")
            elif first.status == 1 and case.outcome == SAME:
                case = case._replace(outcome=TOLD)
            return json.dumps(case)

        ended = in_child(work)
        if ended.status != 0:
            print(
                f"full disk: not run, no small disk can be mounted: {ended.text}", file=sys.stderr
            )
            return
        yield Case(*json.loads(ended.text))


def removals(bench: Bench) -> Iterator[Case]:
    """Remove the journal, or all of the run, at the beginning of a trial."""
    for name in ("journal.jsonl", "."):
        bench.fresh()

        def work(name: str = name) -> str:
            def remove(record: object) -> None:
                if getattr(record, "event").name == "trial_started":  # noqa: B009
                    target = bench.run / name
                    target.unlink() if target.is_file() else shutil.rmtree(target)

            from kdsearch.local import run_locally
            from kdsearch.run import run

            search = bench.search
            run(search.spec, search.host, bench.run, run_locally, force=True, sinks=[remove])
            return "it ended as if nothing had happened"

        ended = in_child(work)
        outcome = {0: SILENT, 1: TOLD}.get(ended.status, WEDGED)
        yield Case("removal", outcome, f"{name}: {ended.text}")


def mutations(table_count: int, spec_count: int) -> Iterator[Case]:
    """Give commands mutated tables and specs, and broken plugins; see `benchmarks.mutations`."""
    for kind, found in campaign(table_count, spec_count, seed=0).items():
        for each in found:
            outcome = WEDGED if each.violation else TOLD if each.code else SAME
            yield Case(f"mutated {kind}", outcome, f"{each.name}: {each.violation}")


def _failed(run: Path) -> list[str]:
    """Return the trials that the journal counts as failed."""
    if not (run / "journal.jsonl").exists():
        return []
    events = [record.event for record in read(run / "journal.jsonl")]
    return [str(event.trial) for event in events if event.name == "trial_failed"]


def _seals(name: str, path: str) -> bool:
    return name == "os.rename" and "trials" in path and path.endswith("seal.json.new")


def _by_kind(run: Path) -> dict[str, list[Path]]:
    """Return the files of a run that hold something, by what they hold."""
    found: dict[str, list[Path]] = {}
    for file in sorted(run.rglob("*")):
        if not file.is_file() or file.suffix == ".lock" or file.stat().st_size == 0:
            continue
        parts = file.relative_to(run).parts
        if "training" in parts:
            kind = "checkpoints"
        elif "signals" in parts or file.name == "signals.json":
            kind = "signal stores"
        elif file.name in ("dev.jsonl", "confirm.jsonl", "train.jsonl"):
            kind = "answers"
        elif parts[0] == "students":
            kind = "exports"
        elif "student" in parts or "model" in parts:
            kind = "models"
        elif len(parts) == 1:
            kind = "journal" if file.name == "journal.jsonl" else "spec, manifest, summary"
        else:
            continue  # curves, errors and settings for people to read
        found.setdefault(kind, []).append(file)
    return found


def disk_sizes(count: int) -> list[int]:
    """Return the sizes of small disks, in bytes."""
    return [SMALLEST_DISK + DISK_STEP * place for place in range(count)]


def table(cases: Sequence[Case]) -> str:
    """Return how many cases of each campaign ended how."""
    counts = Counter((case.campaign, case.outcome) for case in cases)
    names = list(dict.fromkeys(sorted(case.campaign for case in cases)))
    rows: list[tuple[str, ...]] = [("fault", "cases", *OUTCOMES)]
    for name in names:
        own = [counts[name, outcome] for outcome in OUTCOMES]
        rows.append((name, str(sum(own)), *map(str, own)))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def main() -> None:
    """Run all campaigns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at every so many operations")
    parser.add_argument("--flips", type=int, default=200, help="bits of each kind of file")
    parser.add_argument("--disks", type=int, default=20)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--specs", type=int, default=3000)
    parser.add_argument("--only", choices=CAMPAIGNS, help="one campaign alone")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdsearch-chaos-") as folder:
        cases: list[Case] = []
        bench = Bench(Path(folder))
        begun = {
            "kills": lambda: kills(bench, asked.every),
            "flips": lambda: flips(bench, asked.flips),
            "full disk": lambda: full_disks(bench, disk_sizes(asked.disks)),
            "removal": lambda: removals(bench),
            "mutations": lambda: mutations(asked.tables, asked.specs),
        }
        chosen = [asked.only] if asked.only else CAMPAIGNS
        for case in chain.from_iterable(begun[name]() for name in chosen):
            cases.append(case)
            if case.outcome in (SILENT, WEDGED, REPEATED):
                print(f"{case.outcome}: {case.campaign}: {case.detail}", file=sys.stderr)
    print(table(cases))
    sys.exit(any(case.outcome in (SILENT, WEDGED, REPEATED) for case in cases))


if __name__ == "__main__":
    main()
