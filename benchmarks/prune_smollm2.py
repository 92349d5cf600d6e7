"""What pruned students of SmolLM2 score untouched, and trained with and without their teacher.

    python -m benchmarks.prune_smollm2 TEACHER RUN --data FOLDER [--sizes 4L-half 6L] [--set k=v]

TEACHER is a fine-tuned model folder, such as the `teacher/model` of a run of
`specs/news-smollm2.yaml`. Every size of `specs/news-smollm2-prune.yaml` is visited with one
configuration beside its baseline; each student is then loaded by plain `AutoModelForCausalLM`. An
interrupted RUN is continued.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from kdsearch.events import TrialFinished
from kdsearch.local import run_locally
from kdsearch.plugin.host import Host
from kdsearch.run import resume, run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

SPEC = Path(__file__).parent.parent / "specs" / "news-smollm2-prune.yaml"


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--sizes", nargs="*", default=[])
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    given = parser.parse_args()
    if given.run.exists():
        summary = resume(given.run, run_locally)
    else:
        host = Host()
        whole = load_spec(SPEC, host).ladder.rest["sizes"]
        kept = {name: whole[name] for name in given.sizes or whole}
        overrides = [
            f"domain.options.path={given.data}",
            f"teachers=[{{model: {given.teacher}}}]",
            "losses.soft_labels.temperature=2",
            "search={configurations_per_size: 1, strategy: exhaustive}",
            f"ladder.sizes={kept}",
            *given.overrides,
        ]
        summary = run(load_spec(SPEC, host, overrides), host, given.run, run_locally, force=True)
    print(table(given.run, summary))


def table(folder: Path, summary: dict[str, Any]) -> str:
    """Return the table in Markdown, every student loaded anew from its folder."""
    finished: dict[str, TrialFinished] = {}
    for record in read(folder / "journal.jsonl"):
        if isinstance(record.event, TrialFinished):
            finished[str(record.event.trial)] = record.event
    teacher = summary["teacher"]
    lines = [
        "| size | parameters | of teacher | untouched | labels alone | with teacher |",
        "|---|---:|---:|---:|---:|---:|",
        f"| teacher | {teacher['parameters']:,} | 100% | | | {teacher['dev']['score']:.3f} |",
    ]
    for size in summary["sizes"]:
        cells = [size["size"], f"{size['parameters']:,}"]
        cells.append(f"{size['parameters'] / teacher['parameters']:.1%}")
        trials = [finished.get(f"{size['size']}-{kind}-s0") for kind in ("baseline", "c0")]
        untouched = next((trial.untrained_score for trial in trials if trial), None)
        scores = [untouched, *(trial.score if trial else None for trial in trials)]
        cells += ["-" if score is None else f"{score:.3f}" for score in scores]
        for trial in filter(None, trials):
            check(folder / "trials" / str(trial.trial) / "student", size["parameters"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def check(student: Path, parameters: int) -> None:
    """Load a student and its tokenizer as any user would.

    Raises:
        RuntimeError: If the model is not what was counted, or the tokenizer not its own.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(student)
    tokenizer: Any = AutoTokenizer.from_pretrained(student)
    counted = sum(weights.numel() for weights in model.parameters())
    if counted != parameters or len(tokenizer) != model.config.vocab_size:
        raise RuntimeError(f"{student}: {counted:,} parameters, {len(tokenizer):,} tokens")


if __name__ == "__main__":
    main()
