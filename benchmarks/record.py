"""Keep of a finished run what its verdicts rest on: events, answers' ids and scores, no weights.

python -m benchmarks.record runs/quickstart benchmarks/recorded/quickstart
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.search.journal import journal_line, read

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(run: Path, destination: Path) -> None:
    """Copy journal, summary and answers; a destination that exists is refused.

    Paths below the working directory, where the run was started, become relative to it.
    """
    destination.mkdir(parents=True)
    (destination / "journal.jsonl").write_bytes(b"".join(_lines(run)))
    for name in ("summary.json", "units.json"):
        if (run / name).exists():
            text = (run / name).read_text(encoding="utf8").replace(f"{Path.cwd()}/", "")
            (destination / name).write_text(text, encoding="utf8")
    for answers in sorted([*run.glob("teacher/*.jsonl"), *run.glob("trials/*/*.jsonl")]):
        if answers.name not in ("dev.jsonl", "confirm.jsonl"):
            continue
        copy = destination / answers.relative_to(run)
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.loads(line) for line in answers.read_text(encoding="utf8").splitlines()]
        kept = [json.dumps({"id": line["id"], "score": line["score"]}) for line in lines]
        copy.write_text("\n".join(kept) + "\n", encoding="utf8")


def _lines(run: Path) -> Iterator[bytes]:
    """Yield the lines of a journal without the digests of files that are not kept."""
    total = b""
    for record in read(run / "journal.jsonl"):
        stored = {key: value for key, value in record.to_json().items() if key != "files"}
        text = json.dumps(stored, ensure_ascii=False).replace(f"{Path.cwd()}/", "")
        line, total = journal_line(text, total)
        yield line


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    record(options.run, options.destination)


if __name__ == "__main__":
    main()
