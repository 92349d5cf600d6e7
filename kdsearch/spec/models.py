"""The search as the user declares it, validated.

`stages` is the only internal form: loading folds a spec that does not write it into one stage.
Values that the search may choose are typed `Searchable`; `Stage.resolve` turns a stage and a
configuration into `Settings`, in which every value is fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from kdsearch.plugin.file_names import FileName
from kdsearch.spec.base import Open, Strict
from kdsearch.spec.cache import Cache
from kdsearch.spec.objective import LossTerm, options_of
from kdsearch.spec.settings import Settings
from kdsearch.spec.shares import Splits as Splits
from kdsearch.spec.space import Configuration, Sampler, Space
from kdsearch.spec.teachers import (
    Combine,
    Teacher,
    check_names,
    loss_of,
    names_of,
    teacher_of,
)
from kdsearch.spec.training import SearchableTraining, Training
from kdsearch.storage import file_name

MOST_CONFIGURATIONS = 1_000
"""A size; each is drawn and validated before anything runs, 1,000 within a second."""
MOST_SEEDS = 100
MOST_TOKENS = 10_000_000
"""Of a prompt."""
MOST_PROCESSORS = 10_000
MOST_FAILURES = 1_000
LARGEST_SEED = 2**31 - 1
"""numpy takes seeds of 32 bits, and others are counted on from it."""


class DomainChoice(Strict):
    """Which domain, with its own options."""

    name: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    label: FileName | None = None
    """What one of several `domains` is called, where its name is not enough."""

    @property
    def called(self) -> str:
        """Its label, or its name."""
        return self.label or self.name


class LadderChoice(Open):
    """The ladder's kind; its other keys are the ladder plugin's own."""

    kind: str


class PromptFormat(Strict):
    """How examples become token ids."""

    format: Literal["auto", "plain", "chat"] = "auto"
    """Chat messages where the tokenizer has a template, under `auto`."""
    max_tokens: int = Field(default=256, gt=0, le=MOST_TOKENS)
    """Longest prompt; the target is never cut."""
    truncate: Literal["error", "question"] = "error"
    """Refuse longer prompts, or cut their question's end and count the cuts."""


class Evaluation(Strict):
    """How a model's answers are found."""

    scoring: Literal["auto", "options", "generate"] = "auto"
    """The option of highest log-likelihood, or greedy generation; under `auto` as the domain says,
    which is by options where its prompts have them."""
    length_normalization: Literal["none", "tokens", "bytes"] = "none"
    """Divide the log-likelihood of an option by its length before the best is taken, so that long
    options are not at a disadvantage."""


class Strategy(StrEnum):
    """The order in which sizes are visited."""

    BISECT = "bisect"
    ASCEND = "ascend"
    DESCEND = "descend"
    EXHAUSTIVE = "exhaustive"


class Search(Strict):
    """How the ladder is searched."""

    strategy: Strategy = Strategy.BISECT
    """The order in which sizes are visited."""
    configurations_per_size: int = Field(default=1, gt=0, le=MOST_CONFIGURATIONS)
    """Distilled trials a size, at most; the baseline comes on top."""
    sampler: Sampler = Sampler.RANDOM
    """How configurations are drawn; grids are walked in any case but under `tpe`."""
    speculate: bool = False
    """Train sizes that may come next when slots are free: sooner done, at a higher cost."""
    futility: bool = False
    """Stop trials that their own dev scores on the way (`train.evaluations`) leave less than a 5 %
    chance to pass. It takes scores to near their end smoothly: leave it off where a falling
    learning rate or a late insight lifts them at the end."""
    audit: bool = True
    """After the verdicts, ask teacher and students on dev for shortcuts: with the options in other
    places, and without the question. Takes two more passes over dev a model."""
    probe_below: bool = False
    """After a match, try the largest smaller size that was not visited: it is tested at the share
    of the chance of a false match that the match hands on."""
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    """Fixes splits, configurations and initial weights."""


def _seeds(count: int) -> int:
    if not 1 <= count <= MOST_SEEDS or count == 2:
        reason = "; two say too little of how a recipe varies" if count == 2 else ""
        raise ValueError(
            f"1 for this checkpoint, 3 to {MOST_SEEDS} for its recipe, not {count}{reason}"
        )
    return count


class Match(Strict):
    """What counts as matching the teacher."""

    metric: str
    """A per-item metric of the domain."""
    margin: float | None = Field(default=None, ge=0.0, lt=1.0)
    """How far below the teacher still matches; 0.03 is three points."""
    retain: float | None = Field(default=None, gt=0.0, le=1.0)
    """The share of the teacher's score to keep, instead of a margin."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """One minus the chance of a false match."""
    seeds: Annotated[int, AfterValidator(_seeds)] = 1
    """1 claims that the student that was trained matches; from 3 on, that students trained by its
    recipe do: the configuration that passed on dev is trained with so many fresh seeds, all tested
    together."""
    reserve: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The share of the chance of a false match that each opening of confirm leaves for later ones:
    for items added by `kdsearch confirm`, and for other runs on the same items."""
    family: str | None = None
    """Names the runs that share one chance of a false match where they open the same confirm items;
    a run that asks a question of its own may have a family of its own."""

    @field_validator("margin", "retain", "confidence", mode="before")
    @classmethod
    def _in_percent(cls, value: Any) -> Any:
        """Refuse points and percent, and say what they are as a share."""
        if type(value) in (int, float) and 1.0 < value <= 100.0:
            raise ValueError(f"a share of 1, not {value:g}: {value:g} points = {value / 100:g}")
        return value

    @model_validator(mode="after")
    def _one_claim(self) -> Match:
        if (self.margin is None) == (self.retain is None):
            raise ValueError("give exactly one of margin, retain")
        return self


def _whole_or_share(count: float) -> float:
    if count > 1.0 and count != int(count):
        raise ValueError(f"a whole count, or a share of one up to 1, not {count}")
    return count


class Resources(Strict):
    """What one trial occupies, and how many run at once."""

    cpus: int = Field(default=1, gt=0, le=MOST_PROCESSORS)
    """Cores and threads of a trial; another count is another rounding of the result."""
    teacher_cpus: int | None = Field(default=None, gt=0, le=MOST_PROCESSORS)
    """Threads of the teacher's own job, which runs alone; `cpus` unless given."""
    gpus: Annotated[float, AfterValidator(_whole_or_share)] = Field(
        default=0.0, ge=0.0, le=MOST_PROCESSORS
    )
    """GPUs of a trial; fractions share one."""
    max_concurrent: int | None = Field(default=None, gt=0, le=MOST_PROCESSORS)
    """Trials at once; as many as fit unless given."""
    max_failures: int = Field(default=1, ge=0, le=MOST_FAILURES)
    """How often a trial whose worker died is started again."""


JOIN = "+"
"""Between the labels of several domains."""


class Stage(Strict):
    """One distillation: a domain, teachers, an objective and a budget.

    Of a stage before the last, only the train split is read.
    """

    domain: DomainChoice
    domains: tuple[DomainChoice, ...] = ()
    """Instead of `domain`: several, on each of which a student is to match. Each is divided by
    itself, and all are trained on together."""
    splits: Splits = Splits()
    teachers: Annotated[tuple[Teacher, ...], AfterValidator(check_names)] = ()
    """Who teaches; students are compared with the first of the last stage, which needs one."""
    combine: Combine = Combine.MEAN
    """What several teachers say together, to losses that name none of them."""
    losses: Mapping[str, LossTerm] = Field(min_length=1)
    """The terms of the objective by name; `LOSS@TEACHER` reads one of several teachers."""
    train: SearchableTraining = Field(default_factory=SearchableTraining)
    """How students are trained."""

    @model_validator(mode="after")
    def _one_or_several(self) -> Stage:
        labels = [domain.called for domain in self.domains]
        if self.domains and self.domain != DomainChoice(name=JOIN.join(labels)):
            raise ValueError("give domain or domains, not both")
        if len(labels) == 1:
            raise ValueError("domains are two or more: call a single one domain")
        for label in labels:
            file_name(label)
            if labels.count(label) > 1:
                raise ValueError(f"two domains are called '{label}': give each a label of its own")
        return self

    @property
    def chosen(self) -> tuple[DomainChoice, ...]:
        """Its domains, or its only one."""
        return self.domains or (self.domain,)

    @cached_property
    def names(self) -> list[str]:
        """What losses call each teacher."""
        return names_of(self.teachers)

    @cached_property
    def teaching(self) -> tuple[int, ...]:
        """The places of the teachers that teach: those of a weight above 0."""
        return tuple(place for place, teacher in enumerate(self.teachers) if teacher.weight)

    @cached_property
    def terms(self) -> dict[str, LossTerm]:
        """The losses by key, without those that name a teacher that does not teach."""
        idle = {name for place, name in enumerate(self.names) if place not in self.teaching}
        return {key: term for key, term in self.losses.items() if teacher_of(key) not in idle}

    def readers(self, key: str) -> tuple[int, ...]:
        """Return the places of the teachers that a term reads, if it reads any: one, or all.

        Raises:
            ValueError: If it names a teacher that there is not.
        """
        name = teacher_of(key)
        return self.teaching if name is None else (self.names.index(name),)

    @cached_property
    def spaces(self) -> dict[str, Space]:
        """The searched values by path, in the order of the spec."""
        found: dict[str, Space] = {}
        for name, term in self.terms.items():
            found |= {f"losses.{name}.{path}": space for path, space in term.spaces}
        for key in Training.model_fields:
            value = getattr(self.train, key)
            if isinstance(value, Space):
                found[f"train.{key}"] = value
        return found

    def resolve(self, configuration: Configuration) -> Settings:
        """Fix every searched value.

        Raises:
            KeyError: If the configuration misses a searched value.
        """
        losses = {
            name: term.fixed(configuration, f"losses.{name}") for name, term in self.terms.items()
        }
        train = {key: getattr(self.train, key) for key in Training.model_fields}
        for key, value in train.items():
            if isinstance(value, Space):
                train[key] = configuration[f"train.{key}"]
        return Settings(losses=losses, training=Training(**train))

    def baseline(self, configuration: Configuration) -> Settings:
        """Return the settings without teacher: the same training, `answer_ce` on gold alone."""
        settings = self.resolve(configuration)
        own = (term for key, term in settings.losses.items() if loss_of(key) == "answer_ce")
        alone = {**options_of(next(own, {})), "weight": 1.0}
        alone.pop("labels", None)
        return Settings(losses={"answer_ce": alone}, training=settings.training)


class SearchSpec(Strict):
    """The whole search."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the run directory."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """What a student goes through, in order; the last one's domain decides. The keys of a single
    stage may stand at the top of the spec instead."""
    ladder: LadderChoice
    """How students of several sizes are made."""
    match: Match
    """What counts as matching the teacher."""
    search: Search = Search()
    ablate: tuple[str, ...] = ()
    """Losses to leave out, one at a time: once the search has ended, its student is trained again
    without each, with the same configuration and seeds, and compared on dev."""
    prompt: PromptFormat = PromptFormat()
    evaluation: Evaluation = Evaluation()
    cache: Cache = Cache()
    resources: Resources = Resources()

    @property
    def ablated(self) -> tuple[str, ...]:
        """The losses to leave out, those of teachers that do not teach being out already."""
        return tuple(key for key in self.ablate if key in self.stage.terms)

    @property
    def stage(self) -> Stage:
        """The last stage: its domain and first teacher decide."""
        return self.stages[-1]

    def at(self, place: int) -> SearchSpec:
        """Return the search as if one of its stages were all of it."""
        last = place in (-1, len(self.stages) - 1)
        changes = {"stages": (self.stages[place],), "ablate": self.ablate if last else ()}
        return self.model_copy(update=changes)

    @property
    def spaces(self) -> dict[str, Space]:
        """The searched values of all stages by path."""
        return {
            f"{prefix}{path}": space
            for stage, prefix in self._prefixed
            for path, space in stage.spaces.items()
        }

    @property
    def _prefixed(self) -> list[tuple[Stage, str]]:
        """The stages with what stands before their paths: nothing, where there is only one."""
        if len(self.stages) == 1:
            return [(self.stages[0], "")]
        return [(stage, f"stages.{place}.") for place, stage in enumerate(self.stages)]

    def of_stage(self, configuration: Configuration, place: int) -> Configuration:
        """Return the values of one stage, by path within it."""
        prefix = self._prefixed[place][1]
        return {
            path.removeprefix(prefix): value
            for path, value in configuration.items()
            if path.startswith(prefix)
        }

    def resolve(self, configuration: Configuration) -> Settings:
        """Fix every searched value of every stage.

        Raises:
            KeyError: If the configuration misses a searched value.
        """
        *earlier, last = (
            stage.resolve(self.of_stage(configuration, place))
            for place, stage in enumerate(self.stages)
        )
        return last.model_copy(update={"earlier": tuple(earlier)})

    def baseline(self, configuration: Configuration) -> Settings:
        """Return the settings of the baseline: the last stage without teacher, the others as ever.

        So it shows what distilling in the last stage adds to what came before.
        """
        settings = self.resolve(configuration)
        last = self.stage.baseline(self.of_stage(configuration, len(self.stages) - 1))
        return last.model_copy(update={"earlier": settings.earlier})

    def shared(self, configuration: Configuration) -> Configuration:
        """Return the values that the baseline has in common with a configuration."""
        own = f"{self._prefixed[-1][1]}losses."
        return {path: value for path, value in configuration.items() if not path.startswith(own)}
