"""The options of the losses, and what they ask of the two models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from kdsearch.errors import SpecError
from kdsearch.plugin import LayerSignal, Options, Shapes, Signal, SignalRequest, layer_pairs

if TYPE_CHECKING:
    from kdsearch.plugin import ModelFacts


class StackOptions(Options):
    """Options of a loss that matches attention."""

    stack: Literal["encoder", "decoder"] | None = None
    """Which stack is matched: the encoder unless given, where there is one."""

    def stack_of(self, teacher: ModelFacts) -> str:
        """Return which stack is matched.

        Raises:
            SpecError: If the teacher has no such stack.
        """
        stack = self.stack or teacher.stacks[0]
        if stack not in teacher.stacks:
            raise SpecError(
                f"a model of family {teacher.family} has no {stack}",
                where="stack",
                fix=f"allowed: {', '.join(teacher.stacks)}",
            )
        return stack

    def check_alike(self, shapes: Shapes, why: str) -> None:
        """Refuse models that do not attend alike.

        Args:
            shapes: The models.
            why: What is compared head by head.

        Raises:
            SpecError: If their stacks attend to other tokens, or their heads differ in number.
        """
        student, teacher = shapes.student, shapes.teachers[0]
        if student.encoder_decoder != teacher.encoder_decoder:
            raise SpecError(
                f"a {student.family} student and a {teacher.family} teacher attend to other tokens"
            )
        own, other = student.heads, teacher.heads
        if (own.queries, own.keys) != (other.queries, other.keys):
            raise SpecError(
                f"{why} are compared head by head, and the student has {own.queries} heads, "
                f"{own.keys} of them with keys of their own, the teacher {other.queries} and "
                f"{other.keys}",
                fix="use a student with the teacher's heads, or attention_relations",
            )


class TinyBertConfig(StackOptions):
    """Distance of embeddings, hidden states and attention. Each key is the weight of one."""

    embeddings: float = Field(default=1.0, ge=0.0)
    hidden: float = Field(default=1.0, ge=0.0)
    """Of the states after the student's layers and after the teacher's, spread evenly."""
    attention: float = Field(default=1.0, ge=0.0)
    """Of the scores of attention of the same layers, before the softmax."""

    @model_validator(mode="after")
    def _any(self) -> TinyBertConfig:
        if not (self.embeddings or self.hidden or self.attention):
            raise ValueError("give one of embeddings, hidden, attention a weight above 0")
        return self

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return which layers of the teacher are read.

        Raises:
            SpecError: If the teacher has no such stack.
        """
        stack = self.stack_of(teacher)
        pairs = layer_pairs("uniform", student_layers, teacher.depth(stack))
        states, scores = Signal.HIDDEN_STATES, Signal.ATTENTION_SCORES
        layers = [LayerSignal(states, stack, 0)] if self.embeddings else []
        for pair in pairs:
            layers += [LayerSignal(states, stack, pair.teacher)] if self.hidden else []
            layers += [LayerSignal(scores, stack, pair.teacher)] if self.attention else []
        return SignalRequest(layers=tuple(layers))

    def check(self, shapes: Shapes) -> None:
        """Refuse a student whose attention cannot be compared.

        Raises:
            SpecError: If its heads are others, unless `attention` is 0.
        """
        if self.attention:
            self.check_alike(shapes, "scores of attention")


class PatientKdConfig(Options):
    """Distance of normalised hidden states of layers below the last."""

    layers: Literal["last_k", "every_k"] = "every_k"
    """The teacher's last layers, or layers at equal steps; both leave out the very last."""
    tokens: Literal["first", "all"] = "first"
    """Where: at the first token of the answer alone, as at the classifier's token in the paper, or
    at all of them."""

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return which layers of the teacher are read.

        Raises:
            SpecError: If the student has more layers than the teacher.
        """
        pairs = layer_pairs(self.layers, student_layers, teacher.depth("decoder"))
        kind = Signal.HIDDEN_STATES
        return SignalRequest(
            layers=tuple(LayerSignal(kind, "decoder", pair.teacher) for pair in pairs)
        )

    def check(self, shapes: Shapes) -> None:
        """Refuse a student of another width.

        Raises:
            SpecError: If the widths differ.
        """
        own, other = shapes.student.hidden, shapes.teachers[0].hidden
        if own != other:
            raise SpecError(
                f"its states are compared as they are, and the student is {own} wide, the teacher "
                f"{other}",
                fix="use hidden_mse with normalize: true, which learns a projection",
            )


class MiniLmConfig(StackOptions):
    """Divergence of attention and of relations between values, in one layer."""

    teacher_layer: int | None = Field(default=None, ge=1)
    """Counted from 1; the last unless given. The student's is its last."""

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest:
        """Return which layer of the teacher is read.

        Raises:
            SpecError: If the teacher has no such stack or layer.
        """
        stack = self.stack_of(teacher)
        depth = teacher.depth(stack)
        layer = self.teacher_layer or depth
        if layer > depth:
            raise SpecError(
                f"{layer} is out of range: the teacher's {stack} has layers 1 to {depth}",
                where="teacher_layer",
            )
        kinds = (Signal.ATTENTION_SCORES, Signal.ATTENTION_RELATIONS)
        return SignalRequest(layers=tuple(LayerSignal(kind, stack, layer) for kind in kinds))

    def check(self, shapes: Shapes) -> None:
        """Refuse a student whose attention cannot be compared.

        Raises:
            SpecError: If its heads are others.
        """
        self.check_alike(shapes, "distributions of attention")
