"""Which layer of a student is matched with which layer of its teacher."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from kdsearch.errors import SpecError

Layer = Annotated[int, Field(ge=0)]

LayerChoice = (
    Literal["last", "uniform", "last_k", "every_k"]
    | Annotated[tuple[tuple[Layer, Layer], ...], Field(min_length=1)]
)
"""A rule, or pairs of layers, the student's first; 0 is the embeddings, L the last of L layers."""


class LayerPair(NamedTuple):
    """A student's layer and the teacher's that it is matched with."""

    student: int
    teacher: int


def layer_pairs(layers: LayerChoice, student: int, teacher: int) -> tuple[LayerPair, ...]:
    """Return the pairs that a rule means.

    Args:
        layers: `last` pairs the last layers; `uniform` each of the student's with one of the
            teacher's, spread evenly up to the last (Jiao et al. 2020, section 3); `last_k` and
            `every_k` the student's with the last or with every k-th of the teacher's, both
            without the very last unless the student has no other (Sun et al. 2019, section 3.2).
        student: Layers of the student's stack.
        teacher: Layers of the teacher's stack.

    Raises:
        SpecError: If a layer is out of range, or the rule needs a teacher of more layers.
    """
    if not isinstance(layers, str):
        for own, other in layers:
            if own > student or other > teacher:
                raise SpecError(
                    f"[{own}, {other}] is out of range: allowed are the student's layers 0 to "
                    f"{student} and the teacher's 0 to {teacher}",
                    where="layers",
                )
        return tuple(LayerPair(*pair) for pair in layers)
    if layers == "last":
        return (LayerPair(student, teacher),)
    if layers == "uniform":
        return tuple(
            LayerPair(own, max(1, round(own * teacher / student))) for own in range(1, student + 1)
        )
    if student > teacher:
        raise SpecError(
            f"{layers} needs a teacher of no fewer layers: it has {teacher}, a student {student}",
            where="layers",
            fix="use uniform, or pairs of layers",
        )
    inner = range(1, max(2, student))
    if layers == "last_k":
        return tuple(LayerPair(own, teacher - student + own) for own in inner)
    return tuple(LayerPair(own, own * (teacher // student)) for own in inner)
