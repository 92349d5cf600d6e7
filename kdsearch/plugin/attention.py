"""The options of losses that match attention, and what they ask of the two models."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Options, Shapes, Signal
from kdsearch.plugin.signals import LayerSignal, SignalRequest

if TYPE_CHECKING:
    from kdsearch.facts import ModelFacts

Vectors = Literal["queries", "keys", "values"]

VECTORS: tuple[Vectors, ...] = ("queries", "keys", "values")
"""What a token has in a layer of self-attention, in the order in which a signal holds it."""

Stack = Literal["encoder", "decoder"]


class AttentionRelationsConfig(Options):
    """Divergence from the relations between tokens in one of the teacher's layers (MiniLM)."""

    stack: Stack | None = None
    """Whose attention: the encoder's unless given, where there is one."""
    teacher_layer: int | None = Field(default=None, ge=1)
    """Counted from 1; the last unless given. Of deep teachers, MiniLMv2 takes one a few layers
    below. The student's is its last."""
    heads: int | None = Field(default=None, ge=1)
    """Relation heads: queries, keys and values of all heads are split anew into so many, whatever
    the heads of attention. Unless given, as many as divide all of them, up to the teacher's own."""
    relations: tuple[Vectors, ...] = Field(default=VECTORS, min_length=1)
    """Between which of the vectors tokens are related."""

    def stack_of(self, teacher: ModelFacts) -> str:
        """Return whose attention is matched."""
        return self.stack or teacher.stacks[0]

    def heads_of(self, shapes: Shapes) -> int:
        """Return how many relation heads there are."""
        if self.heads is not None:
            return self.heads
        teacher = shapes.teachers[0].heads
        common = gcd(*shapes.student.heads.widths, *teacher.widths)
        return max(count for count in range(1, teacher.queries + 1) if common % count == 0)

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return which layer of the teacher is read.

        Raises:
            SpecError: If the teacher has no such stack or layer, or heads do not divide its widths.
        """
        stack = self.stack_of(teacher)
        check_stack(stack, teacher)
        depth = teacher.depth(stack)
        layer = self.teacher_layer or depth
        if layer > depth:
            raise SpecError(
                f"{layer} is out of range: the teacher's {stack} has layers 1 to {depth}",
                where="teacher_layer",
            )
        self._check_heads("the teacher", teacher)
        return SignalRequest(layers=(LayerSignal(Signal.ATTENTION_RELATIONS, stack, layer),))

    def check(self, shapes: Shapes) -> None:
        """Refuse a student that cannot be matched.

        Raises:
            SpecError: If it has no such stack, or heads do not divide its widths.
        """
        check_alike(self.stack_of(shapes.teachers[0]), shapes)
        self._check_heads("a student", shapes.student)

    def _check_heads(self, whose: str, facts: ModelFacts) -> None:
        widths = facts.heads.widths
        for vectors, width in zip(VECTORS, widths, strict=True):
            if self.heads is not None and vectors in self.relations and width % self.heads:
                raise SpecError(
                    f"{self.heads} relation heads do not divide the {vectors} of {whose}, "
                    f"{width} wide",
                    where="heads",
                    fix=f"allowed are divisors of {gcd(*widths)}, or leave heads out",
                )


def check_stack(stack: str, facts: ModelFacts) -> None:
    """Refuse a stack that a model does not have.

    Raises:
        SpecError: At key `stack`.
    """
    if stack not in facts.stacks:
        raise SpecError(
            f"a model of family {facts.family} has no {stack}",
            where="stack",
            fix=f"allowed: {', '.join(facts.stacks)}",
        )


def check_alike(stack: str, shapes: Shapes) -> None:
    """Refuse models whose stacks attend to other tokens.

    Raises:
        SpecError: At key `stack`.
    """
    student, teacher = shapes.student, shapes.teachers[0]
    check_stack(stack, student)
    if student.encoder_decoder != teacher.encoder_decoder:
        raise SpecError(
            f"the {stack} of a {student.family} student and of a {teacher.family} teacher attend "
            "to other tokens",
            where="stack",
            fix="use a student of the teacher's kind",
        )
