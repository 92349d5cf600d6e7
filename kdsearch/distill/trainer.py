"""Trains a `DistillationModel` by `transformers.Trainer`.

The Trainer keeps its loop, precision, accumulation and checkpoints. Here it learns five things:
the counts of the accumulation window, what a checkpoint of student and heads is, an order of rows
of our own, to report each loss term, and to go on with less memory.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from kdsearch.distill.checkpoints import PREFIX, CheckpointClock, Checkpoints
from kdsearch.distill.conditions import training_conditions
from kdsearch.distill.memory import Divisible
from kdsearch.distill.passes import IGNORED, source_mask
from kdsearch.distill.sampling import GroupSampler, LengthSampler
from kdsearch.errors import KdsearchError, SpecError
from kdsearch.search.budget import window
from kdsearch.spec.training import Precision, Schedule, Training

if TYPE_CHECKING:
    from torch.utils.data import Sampler

    from kdsearch.distill.checkpoints import Last
    from kdsearch.distill.data import Collator
    from kdsearch.distill.module import DistillationModel

SECONDS_BETWEEN_REPORTS = 3.0
"""A stop takes effect at a report."""

HEADS = "loss_heads.safetensors"
PROGRESS = "progress.json"
"""In a checkpoint: what the Trainer's own state does not say."""

SCHEDULES = {schedule: schedule.value for schedule in Schedule} | {
    Schedule.CONSTANT: "constant_with_warmup"
}
"""The Trainer's names; its own `constant` leaves out the warm-up."""

Progress = Callable[[Mapping[str, Any]], None]
"""Called with `step`, `total_steps`, and `losses` (the mean of each since the last call) or a
`note` of what was done beside training."""

Value = TypeVar("Value")


class NonFiniteLossError(KdsearchError):
    """A loss term, or the gradient of all of them, became NaN or infinite."""


class DistillationTrainer(Trainer):
    """A Trainer whose loss is normalised over the accumulation window by the model itself."""

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        order: Sampler[int] | None = None,
        note: Callable[[str], None] = lambda said: None,
        checkpoints: Checkpoints | None = None,
        data_collator: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(data_collator=data_collator, **options)
        self.data_collator: Any = Divisible(self.data_collator, self._train_batch_size)
        self.order = order
        self.note = note
        self.checkpoints = checkpoints
        self._window: list[dict[str, Any]] = []
        """The batches of the optimiser step under way."""
        self._begun = 0
        """How many of them have been trained on."""
        self._window_terms: dict[str, Tensor] = {}
        """The terms of the optimiser step under way, as far as it is."""
        self._term_sums: dict[str, float] = {}
        self._summed_steps = 0

    @property
    def distillation(self) -> DistillationModel:
        """The model without the wrappers of distributed training."""
        model: DistillationModel = self.accelerator.unwrap_model(self.model)
        return model

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """Add the window's counts to each of its batches, over all devices."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            counts = {
                "target_tokens": sum((batch["labels"] != IGNORED).sum() for batch in batches),
                "source_tokens": sum(source_mask(batch).sum() for batch in batches),
                "read_tokens": sum(batch["attention_mask"].sum() for batch in batches),
                "examples": sum(torch.tensor(len(batch["labels"])) for batch in batches),
            }
            for name in self.distillation.views:  # on every device, in one order
                counts |= _view_counts(name, batches)
            shared = {name: self._over_devices(count, device) for name, count in counts.items()}
            for batch in batches:
                batch["window_counts"] = shared
            self._window, self._begun = batches, 0
            if self.distillation.balance.unknown:
                self._within_memory(self._measure)
        return batches, items

    def _measure(self) -> None:
        parts = (part for batch in self._window for part in self._parts(batch))
        with self.compute_loss_context_manager():
            self.distillation.measure(map(self._prepare_inputs, parts))

    def _parts(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        parts: Iterator[dict[str, Any]] = self.data_collator.parts(batch)
        return parts

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Train on a batch, in parts where the device has no memory for the whole.

        Raises:
            NoMemoryError: If it has none for one example.
        """
        redo = False

        def attempt() -> Tensor:
            nonlocal redo
            if redo:  # what broke off has left a part of its gradient behind
                model.zero_grad()
                self._window_terms = {}
                self.distillation.balance.restart(self.state.global_step)
                for earlier in self._window[: self._begun]:
                    self._train_on(model, earlier, num_items_in_batch)
            redo = True
            return self._train_on(model, inputs, num_items_in_batch)

        loss = self._within_memory(attempt)
        self._begun += 1
        return loss

    def _train_on(self, model: Any, batch: dict[str, Any], items: Tensor | int | None) -> Tensor:
        losses = [
            super(DistillationTrainer, self).training_step(model, part, items)
            for part in self._parts(batch)
        ]
        return torch.stack(losses).sum()

    def _within_memory(self, attempt: Callable[[], Value]) -> Value:
        """Try something with smaller and smaller parts until the memory suffices."""
        while True:
            try:
                return attempt()
            except RuntimeError as error:
                if not should_reduce_batch_size(error) or self.args.world_size > 1:
                    raise
            # Only here is what the failed attempt held free.
            clear_device_cache(garbage_collection=True)
            self.note(self.data_collator.halve(self.state.global_step + 1, self._window))

    def _over_devices(self, count: Any, device: torch.device) -> Tensor:
        total = torch.as_tensor(count, device=device)
        return self.accelerator.gather(total).sum() if self.args.world_size > 1 else total

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the model's own objective and keep its terms for the log."""
        self.distillation.step = self.state.global_step
        self.distillation.total_steps = self.state.max_steps
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        for name, value in outputs["terms"].items():
            self._window_terms[name] = self._window_terms.get(name, 0.0) + value
        return (loss, outputs) if return_outputs else loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Close the window before the optimiser sees it, so that no weight takes in a NaN.

        Raises:
            NonFiniteLossError: If a term, or the gradient of a finite objective, is not finite.
        """
        norm = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]  # untyped
        self._close_window(norm)
        return norm

    def _close_window(self, norm: Any) -> None:
        """Move the terms of a step off the device, in one transfer, and look at each."""
        names = list(self._window_terms)
        seen = [torch.as_tensor(value).double() for value in self._window_terms.values()]
        if norm is not None and not self.args.fp16:  # whose scaler skips the steps that overflow
            names.append("")
            seen.append(torch.as_tensor(norm, device=seen[0].device).double())
        self._window_terms = {}
        for name, value in zip(names, torch.stack(seen).tolist(), strict=True):
            if not math.isfinite(value):
                raise _not_finite(name, value, self.state.global_step + 1)
            if name:
                self._term_sums[name] = self._term_sums.get(name, 0.0) + value

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each term since the last log."""
        if "loss" in logs:
            steps = self.state.global_step - self._summed_steps
            self._summed_steps = self.state.global_step
            for name, total in self._term_sums.items():
                logs[f"loss_{name}"] = total / max(1, steps)
            self._term_sums = {}
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        """Return the order of rows that was given, else let the Trainer choose."""
        return self.order or super()._get_train_sampler(train_dataset)

    def go_on(self, last: Last) -> None:
        """Train on from a checkpoint, or from the beginning without one."""
        for fault in last.faults:
            self.note(fault)
        if last.path is not None:
            known = json.loads((last.path / PROGRESS).read_text(encoding="utf8"))
            self.data_collator.resize(known["micro_batch"])
            self._summed_steps = last.step
            self.note(f"goes on from its checkpoint at step {last.step}")
        self.train(resume_from_checkpoint=None if last.path is None else str(last.path))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint whole; what the Trainer writes, and what it does not know of."""
        super()._save_checkpoint(model, trial)
        if self.checkpoints is not None and self.args.should_save:
            path = Path(self.args.output_dir or ".") / f"{PREFIX}{self.state.global_step}"
            known = {"micro_batch": self.data_collator.size}
            (path / PROGRESS).write_text(json.dumps(known), encoding="utf8")
            self.checkpoints.seal(path)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Save the student as a plain model folder, and the heads beside it."""
        folder = Path(output_dir or self.args.output_dir or ".")
        model = self.distillation
        prefix = "student."
        weights = state_dict or model.state_dict()
        student = {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
        disable_progress_bar()
        model.student.save_pretrained(folder, state_dict=student)
        heads = {name: value for name, value in weights.items() if not name.startswith(prefix)}
        save_file(heads, folder / HEADS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load student and heads of a checkpoint that `_save` wrote."""
        folder = Path(resume_from_checkpoint)
        target = self.distillation
        weights = load_file(folder / "model.safetensors")
        missing, unexpected = target.student.load_state_dict(weights, strict=False)
        target.student.tie_weights()
        tied = set(target.student.all_tied_weights_keys)
        if unexpected or set(missing) - tied:
            raise RuntimeError(f"checkpoint {folder} is of another student")
        target.load_state_dict(load_file(folder / HEADS), strict=False)

    def _load_best_model(self) -> None:
        """Load the best checkpoint's student and heads."""
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


def _not_finite(term: str, value: float, step: int) -> NonFiniteLossError:
    """Say which term of a step is not finite; without a name, it is the gradient."""
    if not term:
        return NonFiniteLossError(
            f"the gradient is {value} at step {step}, although every loss is finite",
            fix="a loss has no derivative there: lower train.learning_rate or leave losses out",
        )
    return NonFiniteLossError(
        f"loss term {term} is {value} at step {step}",
        fix=f"lower train.learning_rate, or leave out losses.{term}",
    )


class _Reporter(TrainerCallback):
    """Asks for a log at the first step, every few seconds and at given steps, and hands it on.

    The first one shows that the trial is under way, and ends one that is no longer wanted.
    """

    def __init__(self, report: Progress, steps: Iterable[int]) -> None:
        self.report = report
        self.steps = {1, *steps}
        self.reported = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Mark the first step, which need not be 1."""
        self.steps.add(state.global_step + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a log where one is due."""
        late = time.monotonic() - self.reported > SECONDS_BETWEEN_REPORTS
        last = state.global_step >= state.max_steps
        control.should_log = late or last or state.global_step in self.steps

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report the loss terms of a training log."""
        terms = {name: value for name, value in (logs or {}).items() if name.startswith("loss")}
        if terms:
            self.report(
                {"step": state.global_step, "total_steps": state.max_steps, "losses": terms}
            )
            self.reported = time.monotonic()


def _view_counts(name: str, batches: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the units of a view in a window."""
    views = [batch["views"][name] for batch in batches if name in batch.get("views", {})]
    return {
        f"{name}/target_tokens": sum(int((view["labels"] != IGNORED).sum()) for view in views),
        f"{name}/examples": sum(len(view["rows"]) for view in views),
    }


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
) -> None:
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
        report_steps: Steps at which a report is due in any case.
        identity: Of this training: only its own checkpoints in `folder` are used.

    Raises:
        SpecError: If precision or dropout do not suit model or device.
        NonFiniteLossError: If a loss term or the gradient is NaN or infinite.
        NoMemoryError: If the device has too little memory for one example.
    """
    precision = choose_precision(training.precision, model)
    arguments = TrainingArguments(
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
    checkpoints = Checkpoints(folder, identity)
    trainer = DistillationTrainer(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=table,
        order=_order(training, table, groups, seed),
        note=lambda said: report(
            {"step": trainer.state.global_step, "total_steps": steps, "note": said}
        ),
        checkpoints=checkpoints,
        callbacks=[_Reporter(report, report_steps), CheckpointClock(training.checkpoints)],
    )
    trainer.remove_callback(PrinterCallback)  # standard output is for data
    last = checkpoints.last()
    with training_conditions(model.student, training):
        trainer.go_on(last)


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
