"""Trains a model: the spec's training in the Trainer's terms."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import PrinterCallback, TrainingArguments

from kdsearch.distill.checkpoints import CheckpointClock, Checkpoints
from kdsearch.distill.conditions import group_of_one, training_conditions
from kdsearch.distill.progress import CurveFile, Means, Reporter
from kdsearch.distill.sampling import GroupSampler, LengthSampler
from kdsearch.distill.stopping import Stopping
from kdsearch.distill.trainer import DistillationTrainer
from kdsearch.errors import SpecError
from kdsearch.search.budget import window
from kdsearch.spec.training import Precision, Schedule, Training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from torch.utils.data import Sampler

    from kdsearch.distill.data import Collator
    from kdsearch.distill.module import DistillationModel
    from kdsearch.distill.progress import Progress

SCHEDULES = {schedule: schedule.value for schedule in Schedule} | {
    Schedule.CONSTANT: "constant_with_warmup"
}
"""The Trainer's names; its own `constant` leaves out the warm-up."""


class Trained(NamedTuple):
    """Where a training ended."""

    step: int
    """The optimiser steps that were done."""
    kept: int
    """The step whose weights the model has."""
    reason: str
    """Why it ended before its budget, if it did."""


def train(
    model: DistillationModel,
    table: Any,
    collator: Collator,
    training: Training,
    *,
    steps: int,
    folder: Path,
    seed: int,
    report: Progress,
    groups: Sequence[str | None] = (),
    report_steps: Iterable[int] = (),
    identity: str = "",
    judge: Callable[[int], Mapping[str, Any]] | None = None,
    validation: Any = None,
    curve: Path | None = None,
) -> Trained:
    """Train a model in place, or go on with a training that was cut off.

    Args:
        model: The student with its objective.
        table: Rows with `input_ids`, `labels` and, with signals, `signal_row`.
        collator: Makes batches of rows.
        training: Optimiser, precision and order.
        steps: The budget in optimiser steps.
        folder: Where checkpoints are, and where the Trainer may write.
        seed: Of the order of examples and of dropout.
        report: Called at the first step, every few seconds, at `report_steps` and at the end, and
            with a note where memory ran out.
        groups: The group of each row, to draw groups equally often where that is asked for.
        report_steps: Steps of the checks: they are reported, and what there is to measure is
            measured.
        identity: Of this training: only its own checkpoints in `folder` are used.
        judge: Answers dev at a step of a check, and returns figures, `score` among them.
        validation: Rows like those of `table`, of which losses are measured at checks.
        curve: The file of the curves.

    Returns:
        Where it ended. The model has the weights of the step that was kept.

    Raises:
        SpecError: If precision or dropout do not suit model or device.
        NonFiniteLossError: If a loss term or the gradient is NaN or infinite.
        NoMemoryError: If the device has too little memory for one example.
    """
    checkpoints, means = Checkpoints(folder, identity), Means()
    stopping = None if training.early_stopping is None else Stopping(training.early_stopping)
    held_out = [] if validation is None else list(validation)

    def check(step: int) -> dict[str, Any]:
        losses = {"validation": trainer.mean_losses(held_out)} if held_out else {}
        return {**losses, **(judge(step) if judge is not None else {})}

    reporter = Reporter(
        means=means,
        report=report,
        checks=frozenset(report_steps),
        check=check,
        objective=lambda losses: model.at_the_end(
            {name.removeprefix("loss_"): value for name, value in losses.items()}
        ),
        stopping=stopping,
        keep=lambda step: trainer.keep(step),
        curve=None if curve is None else CurveFile(curve),
    )
    sharded = training.deepspeed is not None
    clock = [] if sharded else [CheckpointClock(training.checkpoints)]  # it would unpickle them
    with group_of_one() if sharded else nullcontext(), training_conditions(model.student, training):
        trainer = DistillationTrainer(
            model=model,
            args=_arguments(training, model, steps, folder, seed),
            data_collator=collator,
            train_dataset=table,
            order=_order(training, table, groups, seed),
            note=lambda said: report(
                {"step": trainer.state.global_step, "total_steps": steps, "note": said}
            ),
            checkpoints=checkpoints,
            means=means,
            stopping=stopping,
            callbacks=[*clock, reporter],
        )
        trainer.remove_callback(PrinterCallback)  # standard output is for data
        trainer.go_on(checkpoints.last())
    trainer.restore_best()
    done = trainer.state.global_step
    return Trained(done, stopping.kept if stopping and stopping.kept else done, reporter.reason)


def _arguments(
    training: Training, model: DistillationModel, steps: int, folder: Path, seed: int
) -> TrainingArguments:
    """Say in the Trainer's words how to train."""
    precision = choose_precision(training.precision, model)
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        max_steps=steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=precision is Precision.BF16,
        fp16=precision is Precision.FP16,
        deepspeed=training.deepspeed,
        seed=seed,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )


def _order(
    training: Training, table: Any, groups: Sequence[str | None], seed: int
) -> Sampler[int] | None:
    """Return the order of rows that a training asks for; None for a random one."""
    if training.balance == "group":
        return GroupSampler(groups, seed)
    if training.group_by_length:
        lengths = [len(ids) for ids in table["input_ids"]]
        return LengthSampler(lengths, window(training), seed)
    return None


def choose_precision(asked: Precision, model: DistillationModel) -> Precision:
    """Resolve `auto` and refuse what the model or the device cannot do.

    Raises:
        SpecError: For fp16 with T5, whose activations overflow it, or fp16 without a GPU.
    """
    if asked is Precision.AUTO:
        able = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return Precision.BF16 if able else Precision.FP32
    if asked is Precision.FP16 and model.config.model_type == "t5":
        raise SpecError("fp16 overflows in T5 models", where="train.precision", fix="use bf16")
    if asked is Precision.FP16 and not torch.cuda.is_available():
        raise SpecError("fp16 needs a GPU", where="train.precision", fix="use auto")
    return asked
