"""The options of losses that put each question to the student in further ways."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kdsearch.plugin.api import Options, Signal
from kdsearch.plugin.views import Blank, Permuted, Task, View


class AntiShortcutConfig(Options):
    """Penalties on answers that do not come from the question. Each key is the weight of one."""

    prior: float = Field(default=0.0, ge=0.0)
    """Of the divergence of how often each option is chosen, over a batch, from how often it is
    right. It is taken of the mean over a batch, so it changes with the batch size and with
    accumulation, as no other loss does."""
    permutation: float = Field(default=1.0, ge=0.0)
    """Of the divergence between the answers to the options as they stand and in other places."""
    blank: float = Field(default=0.0, ge=0.0)
    """Of the confidence in any option where the question is left out."""

    @model_validator(mode="after")
    def _any(self) -> AntiShortcutConfig:
        if not (self.prior or self.permutation or self.blank):
            raise ValueError("give one of prior, permutation, blank a weight above 0")
        return self

    @property
    def scores_options(self) -> bool:
        """Whether the student's scores of the options are read."""
        return True

    @property
    def views(self) -> tuple[View, ...]:
        """Which further ways are read."""
        permuted = (Permuted(),) if self.permutation else ()
        return (*permuted, Blank()) if self.blank else permuted


class RationaleConfig(Options):
    """Cross-entropy on the answer and on the rationale, as two tasks (step by step)."""

    reasons: Literal["data", "teacher"] = "data"
    """Whose rationales: those of the data, or those that a teacher of answers alone gives with them
    (TinyLLM; Tian et al. 2024). Of several such teachers each is a term, `rationale@NAME`."""
    share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Of the rationale; the answer has the rest."""
    explain: str = Field(default="explain: ", min_length=1)
    """What stands before a question whose rationale is asked for."""
    predict: str = ""
    """What stands before one whose answer is asked for. Nothing unless given: questions are put as
    they are wherever a student answers. Distilling step by step has `predict: `; these are further
    rows then."""

    @property
    def needs(self) -> frozenset[Signal]:
        """The teacher's rationales, where they are learned."""
        return frozenset({Signal.RATIONALE}) if self.reasons == "teacher" else frozenset()

    @property
    def views(self) -> tuple[View, ...]:
        """Which further ways are read."""
        explain = Task("explain", self.explain, explain=True)
        return (explain, Task("predict", self.predict)) if self.predict else (explain,)
