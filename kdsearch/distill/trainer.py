"""Trains a `DistillationModel` by `transformers.Trainer`.

The Trainer keeps its loop, precision, accumulation and checkpoints. Here it learns five things:
the counts of the accumulation window, what a checkpoint of student and heads is, an order of rows
of our own, to report each loss term, and to go on with less memory.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Trainer
from transformers.utils.logging import disable_progress_bar

from kdsearch.distill.checkpoints import PREFIX, Checkpoints
from kdsearch.distill.memory import Divisible
from kdsearch.distill.passes import IGNORED, source_mask
from kdsearch.distill.progress import Means
from kdsearch.errors import KdsearchError
from kdsearch.storage.folder import Folder, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch.utils.data import Sampler

    from kdsearch.distill.checkpoints import Last
    from kdsearch.distill.module import DistillationModel
    from kdsearch.distill.stopping import Stopping

HEADS = "loss_heads.safetensors"
PROGRESS = "progress.json"
"""In a checkpoint: what the Trainer's own state does not say."""

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
        means: Means | None = None,
        stopping: Stopping | None = None,
        data_collator: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(data_collator=data_collator, **options)
        self.data_collator: Any = Divisible(self.data_collator, self._train_batch_size)
        self.order = order
        self.note = note
        self.checkpoints = checkpoints
        self.means = means or Means()
        self.stopping = stopping
        self._window: list[dict[str, Any]] = []
        """The batches of the optimiser step under way."""
        self._begun = 0
        """How many of them have been trained on."""
        self._window_losses: dict[str, Tensor] = {}
        """Objective and terms of the optimiser step under way, as far as it is."""

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
            counts = window_counts(batches, self.distillation.views)
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
                self._window_losses = {}
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
                whole = self.args.world_size > 1 or self.is_deepspeed_enabled  # cannot be redone
                if whole or not should_reduce_batch_size(error):
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
        seen = {f"loss_{name}": value for name, value in outputs["terms"].items()}
        for name, value in {**seen, "loss": loss.detach()}.items():
            self._window_losses[name] = self._window_losses.get(name, 0.0) + value
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
        """Move the losses of a step off the device, in one transfer, and look at each."""
        names = list(self._window_losses)
        seen = [torch.as_tensor(value).double() for value in self._window_losses.values()]
        if norm is not None and not self.args.fp16:  # whose scaler skips the steps that overflow
            names.append("")
            seen.append(torch.as_tensor(norm, device=seen[0].device).double())
        self._window_losses = {}
        losses = dict(zip(names, torch.stack(seen).tolist(), strict=True))
        for name, value in losses.items():
            if not math.isfinite(value):
                raise _not_finite(name, value, self.state.global_step + 1)
        losses.pop("", None)
        self.means.add(losses)

    def mean_losses(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return the mean of each loss on rows that are not trained on, named as in reports.

        Args:
            rows: With the columns of the table that is trained on.

        Raises:
            NonFiniteLossError: If one is NaN or infinite.
        """
        size = self.data_collator.size
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        bare = [self.data_collator.bare(batch) for batch in batches]
        counts = window_counts(bare, self.distillation.views)
        on_device = (
            self._prepare_inputs({**self.data_collator.collate(batch), "window_counts": counts})
            for batch in batches
        )
        with self.compute_loss_context_manager():
            terms = self.distillation.mean_terms(on_device)
        losses = {f"loss_{name}": value for name, value in terms.items()}
        losses["loss"] = self.distillation.at_the_end(terms)
        for name, value in losses.items():
            if not math.isfinite(value):
                raise _not_finite(name, value, self.state.global_step, " on held-out examples")
        return losses

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
            self.means.restore(known["means"])
            if self.stopping is not None:
                self.stopping.restore(known["stopping"])
            self.state.global_step = last.step  # so that the note stands where it belongs
            self.note(f"goes on from its checkpoint at step {last.step}")
        self.train(resume_from_checkpoint=None if last.path is None else str(last.path))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint whole; what the Trainer writes, and what it does not know of."""
        with writing(Path(self.args.output_dir or ".")):
            super()._save_checkpoint(model, trial)
        if self.checkpoints is not None and self.args.should_save:
            path = Path(self.args.output_dir or ".") / f"{PREFIX}{self.state.global_step}"
            known = {"micro_batch": self.data_collator.size, "means": self.means.state()}
            if self.stopping is not None:
                known["stopping"] = self.stopping.state()
            Folder(path).write(PROGRESS, json.dumps(known))
            self.checkpoints.seal(path, self.stopping.kept if self.stopping else 0)

    def keep(self, step: int) -> None:
        """Keep the weights of a step as the best so far, but for the last, which stay anyway."""
        if self.checkpoints is not None and step < self.state.max_steps:
            self._save(str(self.checkpoints.make_best(step)))

    def restore_best(self) -> None:
        """Take back the best weights that were kept."""
        if self.checkpoints is None or self.stopping is None:
            return
        if 0 < self.stopping.kept < self.state.global_step:
            self._load_from_checkpoint(str(self.checkpoints.best(self.stopping.kept)))

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
        heads = {name: value for name, value in weights.items() if not name.startswith(prefix)}
        with writing(folder):
            model.student.save_pretrained(folder, state_dict=student)
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


def _not_finite(term: str, value: float, step: int, where: str = "") -> NonFiniteLossError:
    """Say which term of a step is not finite; without a name, it is the gradient."""
    if not term:
        return NonFiniteLossError(
            f"the gradient is {value} at step {step}, although every loss is finite",
            fix="a loss has no derivative there: lower train.learning_rate or leave losses out",
        )
    if term == "loss":
        return NonFiniteLossError(
            f"the objective is {value} at step {step}{where}, although every term is finite",
            fix="lower the weights of its terms",
        )
    name = term.removeprefix("loss_")
    return NonFiniteLossError(
        f"loss term {name} is {value} at step {step}{where}",
        fix=f"lower train.learning_rate, or leave out losses.{name}",
    )


def window_counts(batches: Sequence[Mapping[str, Any]], views: Sequence[str]) -> dict[str, Any]:
    """Return what the losses of these batches, taken together, are divided by.

    Args:
        batches: Of one accumulation window.
        views: The names of all views that losses read, in the batches or not.
    """
    counts = {
        "target_tokens": sum((batch["labels"] != IGNORED).sum() for batch in batches),
        "source_tokens": sum(source_mask(batch).sum() for batch in batches),
        "read_tokens": sum(batch["attention_mask"].sum() for batch in batches),
        "examples": sum(torch.tensor(len(batch["labels"])) for batch in batches),
    }
    for name in views:  # on every device, in one order
        counts |= _view_counts(name, batches)
    return counts


def _view_counts(name: str, batches: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the units of a view in a window."""
    views = [batch["views"][name] for batch in batches if name in batch.get("views", {})]
    return {
        f"{name}/target_tokens": sum(int((view["labels"] != IGNORED).sum()) for view in views),
        f"{name}/examples": sum(len(view["rows"]) for view in views),
    }
