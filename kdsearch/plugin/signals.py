"""What the losses of a spec ask of the teacher, as plain data.

A loss says it by its `needs`. Where these leave open which layers or temperatures, a method
`request` of its `Config` says so:

    def request(self, teacher: ModelFacts, student_layers: int) -> SignalRequest

`student_layers` is the depth of each of the student's stacks. Without the method, hidden states
are those of the last layer of each stack (or of the one that an option `stack` names), and the
temperature is an option of that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plugin.api import Signal

if TYPE_CHECKING:
    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Loss


class LayerSignal(NamedTuple):
    """One kind of signal of one of the teacher's layers."""

    kind: Signal
    stack: str
    """`encoder` or `decoder`; a causal model has a decoder alone."""
    layer: int
    """As in `hidden_states` of transformers: 0 the embeddings, L the last of L layers."""


@dataclass(frozen=True)
class SignalRequest:
    """What is asked of the teacher at each token that it reads or predicts."""

    top_logits: bool = False
    """Logits at each target token: of the whole vocabulary in float32, or the `top_k` largest."""
    temperatures: tuple[float, ...] = ()
    """At which logits are softened: where only some are kept, the mass of the others is kept at
    each."""
    layers: tuple[LayerSignal, ...] = ()
    """Which signals of single layers."""
    largest: int | None = None
    """How many of the sorted probabilities at each target token; none unless given."""
    top_k: int | None = None
    """How many logits are kept; the whole vocabulary unless given."""
    tokens: tuple[int, ...] | None = None
    """The entries of the teacher's vocabulary that students have, by theirs; all unless given. The
    logits of others are dropped: what the teacher says is taken among what a student can say."""
    vocabulary: int | None = None
    """How many entries of the vocabulary are tokens; all unless given. What pads it is dropped."""
    half: bool = False
    """Whether signals of layers are float16 instead of float32."""
    dtype: str = "auto"
    """In which number format the teacher computes; of several together, all of theirs."""

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked for, in words: `top_logits`, `hidden_states/decoder/30`."""
        layers = (f"{wanted.kind.value}/{wanted.stack}/{wanted.layer}" for wanted in self.layers)
        tokens = {Signal.TOP_LOGITS: self.top_logits, Signal.SORTED_PROBABILITIES: self.largest}
        return (*(signal.value for signal, asked in tokens.items() if asked), *layers)

    @property
    def own_tokens(self) -> bool:
        """Whether the teacher reads the questions in its own tokens: nothing compares entries."""
        return bool(self.largest) and not self.top_logits and not self.layers

    def __bool__(self) -> bool:
        return self.top_logits or bool(self.layers) or bool(self.largest)

    def __or__(self, other: SignalRequest) -> SignalRequest:
        """Ask for all that either asks for."""
        return replace(
            self,
            top_logits=self.top_logits or other.top_logits,
            temperatures=tuple(sorted({*self.temperatures, *other.temperatures})),
            layers=tuple(sorted({*self.layers, *other.layers})),
            largest=max(self.largest or 0, other.largest or 0) or None,
        )


def request_of(loss: Loss, config: Any, teacher: ModelFacts, student_layers: int) -> SignalRequest:
    """Return what one loss asks for with its options.

    Args:
        loss: The term.
        config: Its validated options.
        teacher: The teacher's measures.
        student_layers: The depth of each of the student's stacks.
    """
    own = getattr(config, "request", None)
    if own is not None:
        asked: SignalRequest = own(teacher, student_layers)
        return asked
    needs = {*loss.needs, *getattr(config, "needs", ())}
    request = SignalRequest()
    if Signal.TOP_LOGITS in needs:
        request |= SignalRequest(True, (temperature_of(config),))
    if Signal.HIDDEN_STATES in needs:
        named = getattr(config, "stack", None)
        for stack in [named] if named else teacher.stacks:
            last = LayerSignal(Signal.HIDDEN_STATES, stack, teacher.depth(stack))
            request |= SignalRequest(layers=(last,))
    return request


def temperature_of(config: Any) -> float:
    """Return the temperature at which a loss reads its teachers: an option of that name, or 1."""
    return float(getattr(config, "temperature", 1.0))
