"""Load, word and judge every domain that has files in a folder, and count what is kept.

    python -m benchmarks.domains --data DIR [--json]

DIR holds a folder a domain, as in `PLACES`. Chance is on all kept examples: the most frequent
place of the answer, or the most frequent answer, and the mean of 1/options.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plugin import Prediction
from kdsearch.plugin.api import configured
from kdsearch.plugin.host import Host
from kdsearch.plugin.reading import Examples
from kdsearch.spec.models import Splits
from kdsearch.splits import divide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin import Domain, Example

ARC = {
    "answer": "choice",
    "columns": {"question": "question", "answer": "answer", "choices": "choices", "id": "id"},
}
PLACES: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("aqua_rat", "aqua_rat", {}),
    ("aqua_rat", "aqua_rat", {"max_choices": 2}),
    ("winogrande", "winogrande", {}),
    ("history_trivia", "history_trivia", {}),
    ("history_trivia", "history_trivia", {"max_choices": 2}),
    ("trivia_qa", "triviaqa", {}),
    ("financial_news", "financial_news", {}),
    ("mmlu", "mmlu", {}),
    ("mmlu", "mmlu", {"subjects": "history"}),
    ("table", "arc_rationales/train.jsonl", ARC),
)
SHARES = Splits(dev=0.15, confirm=0.25)


class Row(NamedTuple):
    """One domain with its options."""

    domain: str
    rows: int
    """Read, malformed ones included."""
    repeats: int
    """Left out by the domain, within a split and between them."""
    leaked: int
    """Those of the repeats, and twins of a unit, that stand in another official split."""
    copies: int
    """Left out by the engine besides."""
    train: int
    dev: int
    confirm: int
    majority: float
    uniform: float
    primary: float
    """The primary metric of the gold answers: 1."""


def measure(host: Host, name: str, path: Path, given: dict[str, Any]) -> Row:
    """Load a domain, draw its splits by shares, and judge its own gold answers."""
    domain = host.domain(name)
    options: Any = domain.Options.model_validate({**given, "path": path})
    domain = configured(domain, options)
    loaded = domain.load(options)
    found = list(loaded)
    divided = divide(found, SHARES, 0, domain=name)
    counts = loaded.counts if isinstance(loaded, Examples) else None
    return Row(
        domain=" ".join(
            [name, *(f"{key}={value}" for key, value in given.items() if name != "table")]
        ),
        rows=counts.rows if counts else len(found),
        repeats=counts.repeats if counts else 0,
        leaked=counts.leaked + counts.divided if counts else 0,
        copies=divided.tally.copies,
        train=len(divided.splits.train),
        dev=len(divided.splits.dev),
        confirm=len(divided.splits.confirm),
        majority=Counter(example.answer for example in found).most_common(1)[0][1] / len(found),
        uniform=sum(1 / len(each.choices) if each.choices else 0 for each in found) / len(found),
        primary=judged(domain, options, found),
    )


def judged(domain: Domain, options: Any, examples: Sequence[Example]) -> float:
    """Word every example and return the primary metric of its gold answer."""
    targets = [domain.format(example, options).target for example in examples]
    given = [
        Prediction(example.id, target, int(example.answer) if example.choices else None)
        for example, target in zip(examples, targets, strict=True)
    ]
    scores = domain.score(given, examples).per_item[domain.metrics[0]]
    return sum(scores) / len(scores)


def main() -> None:
    """Print a table, or one JSON object a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    host = Host()
    if not arguments.json:
        print("| " + " | ".join(Row._fields) + " |\n|---" + "|---:" * (len(Row._fields) - 1) + "|")
    for name, place, given in PLACES:
        if not (arguments.data / place).exists():
            continue
        row = measure(host, name, arguments.data / place, given)
        if arguments.json:
            print(json.dumps(row._asdict()))
        else:
            cells = (
                f"{cell:.3f}"
                if isinstance(cell, float)
                else f"{cell:,}"
                if isinstance(cell, int)
                else cell
                for cell in row
            )
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
