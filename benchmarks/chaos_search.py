"""The small search that `benchmarks.chaos` breaks: seconds long, with every kind of file.

Its domain offers two options a question, so that scores differ between models and any change of an
answer shows in a count. Teacher and students are T5 models of a few thousand parameters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kdsearch.local import run_locally
from kdsearch.plugin.host import Host
from kdsearch.run import resume, run
from kdsearch.search.agreement import effective
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLUGIN = '''
"""Which of two digits is larger."""

from kdsearch.plugin import API, Answer, Example, Options, Prompt, Scores, Use, hookimpl

KDSEARCH_API = API


class LargerOptions(Options):
    """None."""


class Larger:
    """Two options a question."""

    name, version, Options = "larger_digit", "1", LargerOptions
    answer, use, metrics, aggregates = Answer.CHOICE, Use.SEARCH, ("accuracy",), ()
    max_new_tokens, stop = 2, ("\\\\n",)

    def load(self, options):
        for number in range(200):
            a, b = number % 10, (7 * number + number // 10) % 10
            if a != b:
                text = f"{number}: {a} or {b}?"
                yield Example(str(number), text, int(b > a), choices=(str(a), str(b)))

    def format(self, example, options):
        return Prompt(target=example.correct, text=example.question, choices=example.choices)

    def score(self, predictions, examples):
        pairs = zip(predictions, examples, strict=True)
        return Scores({"accuracy": [float(one.text == gold.correct) for one, gold in pairs]})


@hookimpl
def kdsearch_domains():
    return [Larger()]
'''

SPEC = """
name: chaos
domain: {name: larger_digit}
splits: {train: 64, dev: 40, confirm: 50, reserve: 0}
teachers:
  - scratch: {family: t5, d_model: 16, d_ff: 32, layers: 1, heads: 2}
    fine_tune: {max_steps: 6, batch_size: 8, learning_rate: 1e-2,
                checkpoints: {minutes: null, steps: 4}}
ladder:
  kind: scratch
  family: t5
  sizes:
    tiny: {d_model: 8, d_ff: 16, layers: 1, heads: 2}
    small: {d_model: 12, d_ff: 24, layers: 1, heads: 2}
losses:
  answer_ce: {weight: 1.0}
  soft_labels: {weight: {uniform: [0.5, 2.0]}}
train: {learning_rate: 1e-2, batch_size: 8, max_steps: 4, checkpoints: {minutes: null, steps: 3}}
search: {configurations_per_size: 1, strategy: ascend, audit: true}
match: {metric: accuracy, margin: 0.4}
prompt: {max_tokens: 24}
evaluation: {scoring: options}
resources: {cpus: 1}
"""


class SmallSearch:
    """The search, in a folder of its own.

    Args:
        folder: For its plugin and spec.
    """

    def __init__(self, folder: Path) -> None:
        plugin, spec = folder / "larger_digit.py", folder / "chaos.yaml"
        plugin.write_text(PLUGIN, encoding="utf8")
        spec.write_text(SPEC, encoding="utf8")
        self.host = Host([plugin])
        self.spec = load_spec(spec, self.host)

    def begin(self, run_directory: Path) -> dict[str, Any]:
        """Carry it out; go on where a run has begun."""
        if (run_directory / "manifest.json").exists():
            return self.resume(run_directory)
        return run(self.spec, self.host, run_directory, run_locally, force=True)

    def resume(self, run_directory: Path) -> dict[str, Any]:
        """Go on."""
        return resume(run_directory, run_locally)

    def until(self, run_directory: Path, event: str) -> str:
        """Carry it out until an event is in the journal; return the event."""

        def stop_at(record: Any) -> None:
            if record.event.name == event:
                raise KeyboardInterrupt

        try:
            run(self.spec, self.host, run_directory, run_locally, force=True, sinks=[stop_at])
        except KeyboardInterrupt:
            return event
        raise RuntimeError(f"the search has no {event}")


def answer_of(summary: dict[str, Any]) -> str:
    """Return all that a summary says of models; costs and times may differ."""
    left_out = ("cost", "warnings", "failures")
    kept = {name: value for name, value in summary.items() if name not in left_out}
    return json.dumps(kept, sort_keys=True)


def repeated_trials(run_directory: Path) -> list[str]:
    """Return the trials that finished more than once."""
    records = effective(read(run_directory / "journal.jsonl"))
    names = [str(r.event.trial) for r in records if r.event.name == "trial_finished"]
    return sorted({name for name in names if names.count(name) > 1})


def events_of(run_directory: Path) -> Sequence[str]:
    """Return the names of the journal's events."""
    return [record.event.name for record in read(run_directory / "journal.jsonl")]
