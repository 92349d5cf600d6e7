"""What a distillation step costs next to plain fine-tuning, and answers next to bare passes.

    python benchmarks/step_cost.py [MODEL FOLDER] [--layers 4] [--steps 12]

One model, the same rows and batches, one process. Plain fine-tuning is `transformers.Trainer` on
the model itself. Rounds alternate, and medians over all steps are compared, so that a machine that
slows down slows both. Without a folder, a small Llama is made from a configuration.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from kdsearch.distill.capture import capture
from kdsearch.distill.data import Collator, Rows
from kdsearch.distill.evaluate import predict
from kdsearch.distill.losses import AnswerCe, HiddenMse, SoftLabels
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import collate, forward, pad
from kdsearch.distill.prune import cut
from kdsearch.distill.sources import CachedSignals
from kdsearch.distill.store import SignalStore
from kdsearch.distill.students import load_model
from kdsearch.distill.trainer import DistillationTrainer
from kdsearch.facts import facts_of_config
from kdsearch.plugin import Example, LayerSignal, Shapes, Signal, SignalRequest
from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig

BATCH, SOURCE, TARGET = 8, 48, 2
"""Examples a batch, and tokens of each prompt and answer."""


class Clock(TrainerCallback):
    """Notes how long each optimiser step takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self.last)


def made_rows(vocabulary: int, count: int) -> Rows:
    """Make rows of one length, so that padding plays no part."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, vocabulary, (count, SOURCE + TARGET), generator=random).tolist()
    examples = [Example(str(row), "", 0, choices=("a", "b", "c")) for row in range(count)]
    return Rows(
        examples,
        [ids[:SOURCE] for ids in tokens],
        [ids[SOURCE:] for ids in tokens],
        [[[5], [6], [7]]] * count,
        0,
        ["abc"] * count,
    )


def plain_collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Make the batch that a causal model is usually fine-tuned with: loss on the answer alone."""
    ids = [[*row["input_ids"], *row["labels"]] for row in rows]
    labels = [[-100] * len(row["input_ids"]) + row["labels"] for row in rows]
    return {"input_ids": pad(ids, 0), "labels": pad(labels, -100)}


def step_seconds(
    trainer_class: Any, model: Any, table: Any, collator: Any, steps: int
) -> list[float]:
    """Train for some steps and return the seconds of each but the first two."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps + 2,
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            save_strategy="no",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            use_cpu=not torch.cuda.is_available(),
        )
        clock = Clock()
        trainer_class(
            model=model,
            args=arguments,
            train_dataset=table,
            data_collator=collator,
            callbacks=[clock],
        ).train()
    return clock.seconds[2:]


def bare_pass_seconds(model: Any, rows: Rows) -> float:
    """Time forward passes over the rows in batches, and nothing else."""
    model.train(False)
    started = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(rows.sources), 128):
            part = slice(start, start + 128)
            causal = not model.config.is_encoder_decoder
            targets = [ids[:1] for ids in rows.targets[part]]
            forward(model, collate(rows.sources[part], targets, 0, causal=causal))
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.model:
        teacher: Any = load_model(options.model)
    else:
        teacher = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=8192,
                hidden_size=256,
                intermediate_size=768,
                num_hidden_layers=8,
                num_attention_heads=8,
                tie_word_embeddings=True,
                pad_token_id=0,
            )
        )
    student = cut(teacher, range(options.layers))
    facts = facts_of_config(teacher.config.to_dict(), head_tied=True)
    rows = made_rows(facts.vocabulary, 64)
    shapes = Shapes(facts, (facts,))
    with tempfile.TemporaryDirectory() as folder:
        last = LayerSignal(Signal.HIDDEN_STATES, "decoder", facts.layers)
        request = SignalRequest(True, layers=(last,))
        built = capture(Path(folder), "teacher", rows, request, lambda: teacher)
        source = CachedSignals(SignalStore(built.path))
        terms = {
            "answer_ce": Term(AnswerCe(AnswerCeConfig(), shapes), 1.0),
            "soft_labels": Term(SoftLabels(SoftLabelsConfig(temperature=2), shapes), 1.0),
            "hidden_mse": Term(HiddenMse(HiddenMseConfig(), shapes), 0.5),
        }
        ours = DistillationModel(student, terms, hidden=True)
        cached = Collator(0, source, causal=True)
        table = rows.table(**source.columns(rows))
        plain: list[float] = []
        distilled: list[float] = []
        for _ in range(options.rounds):
            plain += step_seconds(Trainer, student, rows.table(), plain_collate, options.steps)
            distilled += step_seconds(DistillationTrainer, ours, table, cached, options.steps)
    report("step", "plain fine-tuning", plain, "ours, cached (ce + kl + hidden)", distilled)
    bare, answers = [], []
    domain: Any = None  # options are single tokens: nothing of the domain is asked
    for _ in range(options.rounds):
        bare.append(bare_pass_seconds(student, rows))
        started = time.perf_counter()
        predict(student, None, rows, domain)
        answers.append(time.perf_counter() - started)
    report("64 answers", "bare passes", bare, "ours", answers)


def report(what: str, first: str, base: list[float], second: str, other: list[float]) -> None:
    """Print two medians and their ratio."""
    medians = statistics.median(base), statistics.median(other)
    print(
        f"{what}: {first} {1000 * medians[0]:.1f} ms, {second} {1000 * medians[1]:.1f} ms, "
        f"ratio {medians[1] / medians[0]:.3f}  ({torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()
