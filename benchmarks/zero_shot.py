"""How a model answers the domains of the study untouched, in one table with intervals.

    python -m benchmarks.zero_shot MODEL --data DIR [--items 1000] [--words] [--json]

DIR holds a folder a domain, as in `SETTINGS`. Options are answered by letter; with --words they are
scored by their own words, divided by their bytes, in the domains that can be asked so. The command
is `kdsearch evaluate` with settings, which is printed first.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.cli import main as kdsearch

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = {
    "winogrande": ["path={data}/winogrande"],
    "aqua_rat": ["path={data}/aqua_rat"],
    "mmlu": ["path={data}/mmlu", "subjects=history"],
    "table": [
        "path={data}/arc_rationales/train.jsonl",
        "answer=choice",
        "columns={{question: question, answer: answer, choices: choices, id: id}}",
    ],
    "financial_news": ["path={data}/financial_news"],
}
"""Options of each domain; `table` reads questions of ARC."""

WORDS = {
    "winogrande": "answer_format=substituted",
    "table": "answer_format=word",
    "financial_news": "answer_format=word",
}
"""How options are scored by their own words."""


def arguments(model: Path, data: Path, items: int, *, words: bool = False) -> list[str]:
    """Return the arguments of `kdsearch evaluate`."""
    found = ["evaluate", str(model), "--items", str(items)]
    for domain, settings in SETTINGS.items():
        if words and domain not in WORDS:
            continue
        found += ["--domain", domain]
        for setting in [*settings, *([WORDS[domain]] if words else [])]:
            found += ["--set", f"{domain}.{setting.format(data=data)}"]
    return [*found, *(["--set", "evaluation.length_normalization=bytes"] if words else [])]


def main(given: Sequence[str] | None = None) -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--items", type=int, default=1000, help="Of each domain, at most.")
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(given)
    listed = arguments(asked.model, asked.data, asked.items, words=asked.words)
    listed += ["--json"] if asked.json else []
    print(f"kdsearch {shlex.join(listed)}", file=sys.stderr)
    kdsearch(listed)


if __name__ == "__main__":
    main()
