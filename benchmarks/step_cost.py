"""What a distillation step costs next to plain fine-tuning, next to others, and in memory.

    python -m benchmarks.step_cost [--family t5] [--teacher MODEL FOLDER --layers 4] [--memory]

One student, the same rows and batches, one process. `plain` is `transformers.Trainer` on the
student itself; `cached` and `online` are ours with answer_ce + soft_labels + hidden_mse, the
teacher's signals read from a store or computed beside the student; `trl` is TRL's GKD trainer on
the same text (causal models, if `trl` is installed), which computes one divergence, no hidden
states. Rounds alternate and medians over all steps are compared, so that a machine that slows down
slows all. `--memory` adds the peak resident memory of plain and cached, each in a process of its
own, above what the process held before there was a model; the student is then as large as the
teacher, since a small one drowns in what every process holds.

Without a folder, teacher and student are made from configurations, one ten times the other.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.models import STUDENT, TEACHER, facts, made, parameters, rows_of
from kdsearch.distill.capture import capture
from kdsearch.distill.data import Collator
from kdsearch.distill.loading import load_model
from kdsearch.distill.losses import AnswerCe, HiddenMse, SoftLabels
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import pad
from kdsearch.distill.prune import cut
from kdsearch.distill.sources import CachedSignals, OnlineSignals, Source
from kdsearch.distill.store import SignalStore
from kdsearch.distill.students import byte_tokenizer
from kdsearch.distill.trainer import DistillationTrainer
from kdsearch.plugin import LayerSignal, Shapes, Signal, SignalRequest
from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig

if TYPE_CHECKING:
    from collections.abc import Callable

UNCOUNTED = 2
"""Steps at the start of each round that warm up and are not measured."""
SYSTEMS = ("plain", "cached", "online", "trl")


class Clock(TrainerCallback):
    """Notes how long each optimiser step takes, its batch included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note one step and go on."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


class Bench:
    """A teacher, a student and rows, with a way to train by each system.

    Args:
        options: Of the command line.
        folder: For the signal store.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        if options.teacher:
            self.teacher: Any = load_model(options.teacher)
            self.student: Any = cut(self.teacher, range(options.layers))
        else:
            self.teacher = None if options.only else made(options.family, TEACHER)
            self.student = made(options.family, TEACHER if options.only else STUDENT)
        self.causal = not self.student.config.is_encoder_decoder
        self.taught = facts(self.teacher or self.student)
        self.rows = rows_of(
            self.taught.vocabulary, 8 * options.batch, options.source, options.target
        )
        self.folder = folder

    @property
    def request(self) -> SignalRequest:
        """What the three losses ask for."""
        last = self.taught.layers
        stacks = ["decoder"] if self.causal else ["decoder", "encoder"]
        wanted = [LayerSignal(Signal.HIDDEN_STATES, stack, last) for stack in stacks]
        return SignalRequest(True, top_k=self.options.top_k, temperatures=(2.0,), layers=(*wanted,))

    def store(self) -> None:
        """Compute the teacher's signals."""
        capture(self.folder, "teacher", self.rows, self.request, lambda: self.teacher)

    def seconds(self, system: str) -> list[float]:
        """Train for some steps and return the seconds of each that counts."""
        if system == "plain":
            collate = _causal_collate if self.causal else _paired_collate
            return self._train(Trainer, self.student, self.rows.table(), collate)
        if system == "trl":
            return self._train_by_trl()
        if system == "cached":
            (path,) = (each for each in self.folder.iterdir() if each.is_dir())
            source: Source = CachedSignals(SignalStore(path))
        else:
            source = OnlineSignals(self.teacher, self.request)
        shapes = Shapes(facts(self.student), (self.taught,))
        terms = {
            "answer_ce": Term(AnswerCe(AnswerCeConfig(), shapes), 1.0),
            "soft_labels": Term(SoftLabels(SoftLabelsConfig(temperature=2), shapes), 1.0),
            "hidden_mse": Term(HiddenMse(HiddenMseConfig(), shapes), 0.5),
        }
        model = DistillationModel(self.student, terms, needs={Signal.HIDDEN_STATES})
        table = self.rows.table(**source.columns(self.rows))
        collator = Collator(0, source, causal=self.causal)
        return self._train(DistillationTrainer, model, table, collator)

    def _train(
        self, kind: Callable[..., Any], model: Any, table: Any, collate: Any, **more: Any
    ) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            asked: dict[str, Any] = {
                "output_dir": folder,
                "per_device_train_batch_size": self.options.batch,
                "max_steps": self.options.steps + UNCOUNTED,
                "report_to": "none",
                "disable_tqdm": True,
                "logging_strategy": "no",
                "save_strategy": "no",
                "remove_unused_columns": False,
                "dataloader_pin_memory": False,
                "use_cpu": not torch.cuda.is_available(),
            }
            arguments = more.pop("arguments", TrainingArguments)(**asked)
            clock = Clock()
            kind(
                model=model,
                args=arguments,
                train_dataset=table,
                data_collator=collate,
                callbacks=[clock],
                **more,
            ).train()
        return clock.seconds[UNCOUNTED:]

    def _train_by_trl(self) -> list[float]:
        """Train by GKD off-policy: forward KL on the rows' own answers."""
        gkd: Any = import_module("trl.experimental.gkd")

        def arguments(**asked: Any) -> Any:
            own = {"lmbda": 0.0, "beta": 0.0, "temperature": 2.0, "bf16": False}
            return gkd.GKDConfig(**asked, **own, gradient_checkpointing=False)

        tokenizer = byte_tokenizer()
        more = {"teacher_model": self.teacher, "processing_class": tokenizer}
        table = self.rows.table()
        collate = _causal_collate
        return self._train(
            gkd.GKDTrainer, self.student, table, collate, arguments=arguments, **more
        )


def _causal_collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Make the batch that a causal model is usually fine-tuned with: loss on the answer alone."""
    ids = [[*row["input_ids"], *row["labels"]] for row in rows]
    labels = [[-100] * len(row["input_ids"]) + row["labels"] for row in rows]
    mask = pad([[1] * len(row) for row in ids], 0)
    return {"input_ids": pad(ids, 0), "attention_mask": mask, "labels": pad(labels, -100)}


def _paired_collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Make the batch that an encoder-decoder is fine-tuned with."""
    mask = [[1] * len(row["input_ids"]) for row in rows]
    return {
        "input_ids": pad([row["input_ids"] for row in rows], 0),
        "attention_mask": pad(mask, 0),
        "labels": pad([row["labels"] for row in rows], -100),
    }


def resident_megabytes() -> float:
    """Return the most memory that this process has held.

    Of Linux's own account: `ru_maxrss` starts from what the parent process held.
    """
    status = Path("/proc/self/status").read_text(encoding="utf8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peak_megabytes(system: str, arguments: list[str]) -> float:
    """Return the peak memory of one system above what its process began with."""
    command = [sys.executable, "-m", "benchmarks.step_cost", *arguments, "--only", system]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ended.stdout.split()[-1])


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=["llama", "t5"], default="llama")
    parser.add_argument("--teacher", type=Path, help="a folder; the student is its first layers")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--source", type=int, default=48, help="tokens of a prompt")
    parser.add_argument("--target", type=int, default=2, help="tokens of an answer")
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--stored", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory and options.teacher:
        parser.error("--memory measures models made from configurations: leave out --teacher")
    return options


def main() -> None:
    """Measure and print."""
    options, begun = parsed(sys.argv[1:]), resident_megabytes()
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(options, options.stored or Path(temporary))
        if options.only:
            bench.seconds(options.only)
            print(resident_megabytes() - begun)
            return
        bench.store()
        systems = [system for system in SYSTEMS if system != "trl" or _trl(bench)]
        found: dict[str, list[float]] = {system: [] for system in systems}
        for _ in range(options.rounds):
            for system in systems:
                found[system] += bench.seconds(system)
        sizes = parameters(bench.teacher), parameters(bench.student)
        print(
            f"{bench.student.config.model_type}: teacher {sizes[0]:,}, student {sizes[1]:,} "
            f"parameters; {options.batch} x ({options.source} + {options.target}) tokens; "
            f"{torch.get_num_threads()} threads"
        )
        base = statistics.median(found["plain"])
        for system, seconds in found.items():
            middle = statistics.median(seconds)
            print(f"{system:7} {1000 * middle:8.1f} ms a step  {middle / base:6.2f} x plain")
        if options.memory:
            arguments = [*sys.argv[1:], "--stored", temporary]
            peaks = {system: peak_megabytes(system, arguments) for system in ("plain", "cached")}
            for system, peak in peaks.items():
                print(f"{system:7} {peak:8.0f} MiB peak   {peak / peaks['plain']:6.2f} x plain")


def _trl(bench: Bench) -> bool:
    return bench.causal and find_spec("trl") is not None


if __name__ == "__main__":
    main()
