"""Who teaches: the `teachers` of a stage, how they are combined, and which terms read which.

Every loss that reads a teacher reads all that teach, combined as `combine` says, unless its key
names one: `soft_labels@NAME`. The first teacher is the one that students are compared with.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kdsearch.plugin.ladders import LARGEST_WIDTH, MOST_HEADS, MOST_LAYERS
from kdsearch.spec.base import Strict
from kdsearch.spec.training import Training

NAMED = "@"
"""Stands in a term's key between the loss and the one teacher that it reads."""


class Scratch(Strict):
    """A teacher made from measures alone."""

    family: Literal["t5", "llama"]
    d_model: int = Field(gt=0, le=LARGEST_WIDTH)
    d_ff: int = Field(gt=0, le=LARGEST_WIDTH)
    layers: int = Field(gt=0, le=MOST_LAYERS)
    heads: int = Field(gt=0, le=MOST_HEADS)
    d_kv: int | None = Field(default=None, gt=0, le=LARGEST_WIDTH)
    """Width of one head; `d_model / heads` unless given."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class Combine(StrEnum):
    """What several teachers say together."""

    MEAN = "mean"
    """The weighted mean of their probabilities; of their answers the one of most weight."""
    CORRECTNESS = "correctness"
    """The same, with the weight of those alone that are right on the training example; of all
    where none is."""
    SEPARATE = "separate"
    """A term each: the weighted mean of the losses."""


class TeacherType(StrEnum):
    """The number format in which a teacher computes."""

    AUTO = "auto"
    """float32, and bf16 where a GPU has it for signals."""
    FP32 = "fp32"
    BF16 = "bf16"


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda:\d+", name):
        raise ValueError(f"auto, cpu or a GPU by its number, such as cuda:0, not '{name}'")
    return name


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f"letters, digits, _ and -, a letter first, not '{name}'")
    return name


class Teacher(Strict):
    """The frozen model whose signals are matched."""

    name: Annotated[str, AfterValidator(_name)] | None = None
    """What losses call it; its place in the list, from 0, unless given."""
    model: str | None = None
    """A model folder, or a model of the hub such as `google/flan-t5-xl`, with `@REVISION` for
    another than its main branch; a run records the commit."""
    scratch: Scratch | None = None
    """A model made from measures; give `fine_tune` too."""
    predictions: str | None = None
    """A file of the teacher's answers, one JSON object a line: a black box, of which no more is
    known. See `kdsearch.predictions`."""
    run: str | None = None
    """A run directory whose student of one `size` is the teacher: an assistant."""
    size: str | None = None
    """Which student of `run`."""
    fine_tune: Training | None = None
    """Train it on the domain first, once."""
    weight: float = Field(default=1.0, ge=0.0)
    """Its share beside the other teachers. At 0 it teaches nothing, and the losses that name it are
    left out; if it is the first, students are compared with it all the same."""
    dtype: TeacherType = TeacherType.AUTO
    """The number format in which it computes: auto, fp32 or bf16."""
    device: Annotated[str, AfterValidator(_device)] = "auto"
    """Where it computes: auto, the GPU if there is one; cpu; or a GPU by its number, cuda:1."""

    @model_validator(mode="after")
    def _one_source(self) -> Teacher:
        sources = (self.model, self.scratch, self.predictions, self.run)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give exactly one of model, scratch, predictions, run")
        if (self.run is None) != (self.size is None):
            raise ValueError("a student of an earlier run is named by run and size")
        if self.predictions is not None and self.fine_tune is not None:
            raise ValueError("a black box cannot be trained: leave fine_tune out")
        if self.scratch is not None and self.fine_tune is None:
            raise ValueError("a scratch teacher knows nothing: give fine_tune too")
        return self


def check_names(teachers: tuple[Teacher, ...]) -> tuple[Teacher, ...]:
    """Refuse teachers of one name, and ones of whom none teaches.

    Raises:
        ValueError: If there are such.
    """
    names = names_of(teachers)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two teachers are called '{twice[0]}'")
    if teachers and not any(teacher.weight for teacher in teachers):
        raise ValueError("every weight is 0: nobody teaches")
    return teachers


def names_of(teachers: tuple[Teacher, ...]) -> list[str]:
    """Return what losses call each teacher."""
    return [teacher.name or str(place) for place, teacher in enumerate(teachers)]


def loss_of(key: str) -> str:
    """Return the loss that a term's key means."""
    return key.partition(NAMED)[0]


def teacher_of(key: str) -> str | None:
    """Return the teacher that a term's key names; None where it names none."""
    _, at, name = key.partition(NAMED)
    return name if at else None
