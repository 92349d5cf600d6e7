"""How a model is trained, as the spec says it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, Field, create_model, model_validator

from kdsearch.spec.base import Strict
from kdsearch.spec.space import Space

BUDGETS = ("max_steps", "epochs", "tokens")
"""The keys of which one says how long training lasts."""

DEFAULT_STEPS = 1000
"""The budget of a spec that gives none."""


DEFAULT_VALIDATION = 0.05
"""The share of train that early stopping on losses holds out."""


MOST_ROWS = 1_000_000
MOST_STEPS = 1_000_000_000
MOST_EPOCHS = 1_000_000
MOST_TOKENS = 10**15
MOST_EVALUATIONS = 100_000
"""Bounds that no training reaches: a count beyond them is a slip of the hand."""


class Precision(StrEnum):
    """The number format of training."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Schedule(StrEnum):
    """How the learning rate falls after warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    INVERSE_SQRT = "inverse_sqrt"
    CONSTANT = "constant"


def _warmup(value: float) -> float:
    if value >= 1.0 and value != int(value):
        raise ValueError(f"a share of the steps below 1, or whole steps, not {value}")
    return value


def _held_out(value: float | None) -> float | None:
    if value is not None and value >= 1.0 and value != int(value):
        raise ValueError(f"a share of the examples below 1, or a count, not {value}")
    return value


def _consistent(training: Any) -> Any:
    """Let exactly one budget and one order stand; no budget means the default."""
    given = [key for key in BUDGETS if getattr(training, key) is not None]
    if len(given) > 1:
        raise ValueError(
            f"give exactly one of {', '.join(BUDGETS)}, not {' and '.join(given)} "
            "(null takes one back)"
        )
    if not given:
        object.__setattr__(training, "max_steps", DEFAULT_STEPS)
    stopping = training.early_stopping
    if stopping is not None and training.evaluations == 1:
        raise ValueError("early_stopping looks at dev or losses on the way: raise evaluations")
    if stopping is not None and stopping.on != "metric" and training.validation is None:
        object.__setattr__(training, "validation", DEFAULT_VALIDATION)
    if training.group_by_length and training.balance == "group":
        raise ValueError("group_by_length and balance: group both order the examples: give one")
    return training


class CheckpointTimes(Strict):
    """When a training that goes on is kept on disk, to continue from there."""

    minutes: float | None = Field(default=5.0, gt=0.0)
    """Minutes from one checkpoint to the next; null for none by time."""
    steps: int | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Besides, optimiser steps from one checkpoint to the next."""


class EarlyStopping(Strict):
    """When a training ends before its budget; its best weights are kept in any case."""

    on: Literal["metric", "loss", "both"] = "metric"
    """`metric`: the domain's on dev has not risen. `loss`: the loss on held-out examples
    (`train.validation`) has turned away from the training loss: it has not fallen although that
    has. `both`: whichever is first. Kept are the weights of the best metric, under `loss` those of
    the lowest validation loss."""
    patience: int = Field(default=3, gt=0, le=MOST_EVALUATIONS)
    """Checks (`train.evaluations`) for which that must hold."""
    min_delta: float = Field(default=0.0, ge=0.0)
    """How much better than the best a check must be to count."""


class Training(Strict):
    """How a model is trained."""

    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Peak learning rate of AdamW."""
    batch_size: int = Field(default=8, gt=0, le=MOST_ROWS)
    """Examples in one forward pass."""
    gradient_accumulation: int = Field(default=1, gt=0, le=MOST_ROWS)
    """Forward passes before each optimiser step."""
    max_steps: int | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Optimiser steps; 1000 where no other budget is given either."""
    epochs: float | None = Field(default=None, gt=0.0, le=MOST_EPOCHS)
    """Instead: how often training goes through all of its examples."""
    tokens: int | None = Field(default=None, gt=0, le=MOST_TOKENS)
    """Instead: prompt and answer tokens to train on, padding left out."""
    schedule: Schedule = Schedule.LINEAR
    """How the learning rate falls after warm-up."""
    warmup: Annotated[float, AfterValidator(_warmup)] = Field(default=0.1, ge=0.0, le=MOST_STEPS)
    """Over how much the learning rate rises: a share of the steps below 1, or whole steps."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """Gradients are scaled down to this norm."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """The model's dropout while it trains; as its configuration has it unless given."""
    precision: Precision = Precision.AUTO
    """bf16 where the device has it, else fp32, under `auto`."""
    deepspeed: str | None = None
    """A configuration file of DeepSpeed, ZeRO stage 1 or 2, which the Trainer takes as it is. Needs
    a GPU and the package. No checkpoints are kept then, and no memory left fails the trial."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, about a third more time."""
    balance: Literal["none", "group"] = "none"
    """Draw every group of the domain equally often, or every example."""
    group_by_length: bool = False
    """Batch examples of about one length: less padding, a less random order."""
    evaluations: int = Field(default=1, gt=0, le=MOST_EVALUATIONS)
    """Checks: how often dev is answered on the way, the end included."""
    validation: Annotated[float | None, AfterValidator(_held_out)] = Field(default=None, gt=0.0)
    """Examples of train to hold out, a share below 1 or a count, whose losses are measured at each
    check. 0.05 where early stopping looks at them, else none."""
    early_stopping: EarlyStopping | None = None
    """End a training that gets no better, and keep its best weights."""
    checkpoints: CheckpointTimes = CheckpointTimes()
    """When an unfinished training is kept on disk: after a worker's death, or by `kdsearch resume`,
    it continues from the last checkpoint, exactly as it would have gone on."""
    stall_timeout: int | float = Field(default=30, gt=0)  # this union is not searched
    """Minutes without a report after which a job is ended and counts as failed."""

    @model_validator(mode="after")
    def _check(self) -> Training:
        return cast("Training", _consistent(self))


NUMBERS = (int, float, int | None, float | None)


def _searchable(model: type[BaseModel]) -> type[BaseModel]:
    """Derive a model in which every number may also be a search space."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        fields[name] = (field.annotation, field)
        if field.annotation in NUMBERS:
            described = Field(default=field.default, description=field.description)
            limits = Annotated[field.annotation, *field.metadata]  # type: ignore[name-defined]  # built at run time
            fields[name] = (limits | Space, described)
    validators: dict[str, Any] = {"_check": model_validator(mode="after")(_consistent)}
    return create_model(
        f"Searchable{model.__name__}", __base__=Strict, __validators__=validators, **fields
    )


if TYPE_CHECKING:
    SearchableTraining = Strict
else:
    SearchableTraining = _searchable(Training)
