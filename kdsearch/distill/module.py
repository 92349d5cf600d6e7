"""One module that holds a student and the loss terms it is trained with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kdsearch.distill.balance import Balance
from kdsearch.distill.choices import option_scores
from kdsearch.distill.passes import IGNORED, Pass, concatenated, forward, source_mask
from kdsearch.distill.signals import ATTENTION_KINDS, LAYER_KINDS, as_read
from kdsearch.plugin import LossInputs, Signal, ViewInputs
from kdsearch.plugin.faults import PluginCall
from kdsearch.spec.objective import weight_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True)
class Term:
    """A built loss term and its weight in the objective."""

    module: nn.Module
    weight: float | Mapping[str, Any]
    """A number, or the keys of a `WeightSchedule`."""
    balanced: bool = False
    """Whether it is scaled to the size of `answer_ce` first."""


class DistillationModel(nn.Module):
    """A student with its objective, in the form that `transformers.Trainer` trains.

    `forward` returns the weighted sum, already divided by the counts of the accumulation window.
    Loss heads (projections) are parameters here and never part of the student.

    Args:
        student: An encoder-decoder or a causal model.
        terms: The objective's terms by name.
        needs: The signals that any term reads: the student keeps those of its own layers.
        views: The names of the views that any term reads.
    """

    accepts_loss_kwargs = True
    main_input_name = "input_ids"

    def __init__(
        self,
        student: Any,
        terms: Mapping[str, Term],
        *,
        needs: Collection[Signal] = (),
        views: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.student = student
        self.heads = nn.ModuleDict({name: term.module for name, term in terms.items()})
        self.weights = {name: term.weight for name, term in terms.items()}
        self.balance = Balance([name for name, term in terms.items() if term.balanced])
        self.needs = frozenset(needs)
        self.views = tuple(sorted(set(views)))
        self.step = 0
        self.total_steps = 1

    @property
    def config(self) -> Any:
        """The student's configuration."""
        return self.student.config

    @property
    def device(self) -> torch.device:
        """Where the student lies."""
        device: torch.device = self.student.device
        return device

    def forward(
        self,
        window_counts: Mapping[str, Tensor],
        signals: Mapping[str, Any] | None = None,
        options: Mapping[str, Tensor] | None = None,
        views: Mapping[str, Mapping[str, Any]] | None = None,
        num_items_in_batch: Tensor | None = None,
        **batch: Tensor,
    ) -> dict[str, Any]:
        """Return `loss`, a scalar, and `terms`, each term before its weight, detached.

        Args:
            window_counts: `target_tokens`, `source_tokens`, `examples` of the window.
            signals: By signal name, as a store gathers them; of several teachers as `several` says.
            options: As `choices.collate_options` makes them, where a term scores options.
            views: By name, as `views.collate_views` makes them; read in one pass with the batch.
            num_items_in_batch: The Trainer's own count; the window's counts are used instead.
            batch: As `passes.collate` makes it.
        """
        outputs, others = self._read(batch, views or {})
        scores = option_scores(self.student, outputs.logits, options) if options else None
        inputs = LossInputs(
            student_logits=outputs.logits,
            labels=batch["labels"],
            target_mask=batch["labels"] != IGNORED,
            source_mask=source_mask(batch),
            read_mask=batch["attention_mask"].bool(),
            student_hidden=outputs.states,
            signals=as_read(signals or {}),
            window_counts=window_counts,
            student_layer=partial(_layer, outputs),
            step=self.step,
            total_steps=self.total_steps,
            choice_scores=scores,
            views=others,
        )
        terms = {}
        for name, head in self.heads.items():
            with PluginCall(f"loss '{name}'", "forward", ends_only=True):
                terms[name] = head(inputs)
        factors = self.balance.factors(self.step)
        self.balance.add(terms)
        progress = self.step / self.total_steps
        weighted = [
            weight_at(self.weights[name], progress) * factors.get(name, 1.0) * value
            for name, value in terms.items()
        ]
        return {
            "loss": torch.stack(weighted).sum(),
            "terms": {name: value.detach() for name, value in terms.items()},
        }

    def _read(
        self, batch: Mapping[str, Tensor], views: Mapping[str, Mapping[str, Any]]
    ) -> tuple[Pass, dict[str, ViewInputs]]:
        """Run the student once, on a batch and all views of it."""
        parts = [batch]
        for view in views.values():
            parts.append({name: view[name] for name in batch})
        joint = concatenated(parts, self.config.pad_token_id or 0) if views else batch
        said = forward(
            self.student,
            joint,
            states=Signal.HIDDEN_STATES in self.needs,
            attention=bool(ATTENTION_KINDS & self.needs),
        )
        if not views:
            return said, {}
        sizes = [len(part["labels"]) for part in parts]
        each = [
            said.of(slice(end - size, end), part)
            for part, size, end in zip(parts, sizes, accumulate(sizes), strict=True)
        ]
        inputs = {
            name: self._view_inputs(view, own.logits)
            for (name, view), own in zip(views.items(), each[1:], strict=True)
        }
        return each[0], inputs

    def _view_inputs(self, view: Mapping[str, Any], logits: Tensor) -> ViewInputs:
        options = view.get("options")
        return ViewInputs(
            rows=view["rows"],
            student_logits=logits,
            labels=view["labels"],
            target_mask=view["labels"] != IGNORED,
            choice_scores=option_scores(self.student, logits, options) if options else None,
        )

    @torch.no_grad()
    def measure(self, batches: Iterable[Mapping[str, Any]]) -> None:
        """Run an accumulation window through without training, to know the size of each term.

        Args:
            batches: On the student's device, with their `window_counts`.
        """
        self.train(False)
        self.balance.restart(self.step)
        for batch in batches:
            self(**batch)
        self.balance.step = -1

    @torch.no_grad()
    def mean_terms(self, batches: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Return each term over batches that are not trained on, without dropout.

        Args:
            batches: On the student's device; their `window_counts` are those of all of them.
        """
        was_training = self.training
        self.train(False)
        with self.balance.aside():
            parts = [self(**batch)["terms"] for batch in batches]
        self.train(was_training)
        return {name: sum(float(part[name]) for part in parts) for name in parts[0]}

    def at_the_end(self, terms: Mapping[str, float]) -> float:
        """Return the objective by the weights that terms have at the end of training.

        Weights that change would let it fall or rise by themselves. Balanced terms are left out:
        their scale follows `answer_ce`.

        Args:
            terms: The mean of each.
        """
        fixed = {name: weight_at(weight, 1.0) for name, weight in self.weights.items()}
        left_out = self.balance.names
        return sum(fixed[name] * terms[name] for name in fixed if name not in left_out)


def _layer(said: Pass, kind: Signal, stack: str, layer: int) -> Tensor:
    """Return what one layer says in a pass."""
    return LAYER_KINDS[kind](said, stack, layer).values
