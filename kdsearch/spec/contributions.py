"""What the plugins that a spec names contribute to a stage of its search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdsearch.plugin.api import Signal
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.union import Union
from kdsearch.spec.objective import options_of
from kdsearch.spec.teaching import Needs, weighs_answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Domain, Ladder, Loss
    from kdsearch.plugin.views import View
    from kdsearch.spec.models import Stage
    from kdsearch.spec.settings import Settings


@dataclass(frozen=True)
class Parts:
    """What the plugins contribute to a search."""

    domain: Domain
    options: BaseModel
    """The domain's."""
    ladder: Ladder
    ladder_config: BaseModel
    losses: Mapping[str, Loss]
    """By the key of the term."""
    needs_by_configuration: tuple[Needs, ...]
    """Of each configuration that may run: the teacher signals that its losses need."""
    needs_by_term: Mapping[str, Needs]
    """By key: what a term needs of the teachers that it reads, in any configuration."""
    earlier: tuple[Parts, ...] = ()
    """The same of the stages before, in their order."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What a search over several domains calls each; empty of a single one."""
        return tuple(self.domain.by_label) if isinstance(self.domain, Union) else ()

    @property
    def each_options(self) -> tuple[Any, ...]:
        """The options of each domain."""
        if isinstance(self.domain, Union):
            return tuple(member.options for member in self.domain.members)
        return (self.options,)

    @property
    def needs(self) -> Needs:
        """The teacher signals that the losses need in any configuration."""
        return Needs().union(*self.needs_by_configuration)

    def needs_of(self, stage: Stage, place: int) -> Needs:
        """Return the signals that the losses of a stage need of one of its teachers."""
        read = (own for key, own in self.needs_by_term.items() if place in stage.readers(key))
        needs = Needs().union(*read)
        judged = weighs_answers(stage, self.needs_by_term) and place in stage.teaching
        return needs | {Signal.TEXT} if judged else needs

    def loss_config(self, name: str, settings: Settings) -> Any:
        """Return a loss's validated options in one trial's settings; its weight is none of them."""
        return self.losses[name].Config.model_validate(options_of(settings.losses[name]))

    def views(self, settings: Settings) -> list[tuple[str, View]]:
        """Return the further ways in which losses put each question to a student, by loss."""
        return [
            (name, view)
            for name in settings.losses
            if name in self.losses  # a baseline learns from `answer_ce` in any case
            for view in getattr(self.loss_config(name, settings), "views", ())
        ]

    def warnings(self, settings: Settings, teacher: ModelFacts) -> list[str]:
        """Return what losses themselves have to say of their options, by `Config.warnings`."""
        found = []
        for name in settings.losses:
            with PluginCall(f"loss '{name}'", "warnings"):
                told = getattr(self.loss_config(name, settings), "warnings", None)
                found += [f"losses.{name}: {line}" for line in (told(teacher) if told else ())]
        return found


def needs_of(loss: Loss, config: BaseModel) -> Needs:
    """Return the teacher signals that a loss needs with its options."""
    with PluginCall(f"loss '{loss.name}'", "needs"):
        return frozenset(loss.needs) | frozenset(map(Signal, getattr(config, "needs", ())))


def scores_options(loss: Loss, config: BaseModel) -> bool:
    """Whether a loss reads the student's scores of the options."""
    with PluginCall(f"loss '{loss.name}'", "scores_options"):
        own = bool(getattr(config, "scores_options", False))
    return own or Signal.CHOICE_SCORES in needs_of(loss, config)
