"""The plugins that a spec names, with their own parts of it validated."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from kdsearch.errors import KdsearchError, PluginError, SpecError, did_you_mean
from kdsearch.plugin.api import Signal, Use, configured
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.union import Member, Union, UnionOptions
from kdsearch.spec.contributions import Parts, needs_of, scores_options
from kdsearch.spec.document import Origin
from kdsearch.spec.faults import faults_of, name_of, strictly
from kdsearch.spec.objective import FixedWeight, LossTerm, WeightSchedule, counts, options_of
from kdsearch.spec.space import Configuration, LogUniform, Sampler, Space, Uniform, draw, hint
from kdsearch.spec.teachers import loss_of, teacher_of
from kdsearch.spec.teaching import (
    ANSWER_SIGNALS,
    Needs,
    beyond_answers,
    inseparable,
    two_texts,
    unfit_views,
    unknown_teacher,
    unscored,
    without_reasons,
)
from kdsearch.spec.training import Training

__all__ = ["ANSWER_SIGNALS", "Parts", "needs_of", "resolve_parts", "scores_options"]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kdsearch.plugin.api import Domain, Ladder, Loss
    from kdsearch.plugin.host import Host
    from kdsearch.spec.document import Trail
    from kdsearch.spec.models import DomainChoice, SearchSpec

STAGE: Trail = ("stages", 0)


def resolve_parts(spec: SearchSpec, host: Host, origin: Origin | None = None) -> Parts:
    """Find the plugins that a spec names and let each validate its part.

    Args:
        spec: The search.
        host: What is installed.
        origin: Where the spec was read, to name the places of faults.

    Raises:
        SpecError: If a name is unknown or a part invalid, one line a fault.
        PluginError: Likewise, if a broken plugin may be the reason.
    """
    found, lines = list[Parts](), list[str]()
    kind: type[KdsearchError] = SpecError
    for place in range(len(spec.stages)):
        resolver = _Resolver(spec, place, replace(origin or Origin(), place=place))
        try:
            found.append(resolver.resolve(host))
        except KdsearchError as error:
            lines += str(error).splitlines()
            kind = PluginError if isinstance(error, PluginError) else kind
    if lines:
        raise kind("\n".join(dict.fromkeys(lines)))
    return replace(found[-1], earlier=tuple(found[:-1]))


class _Resolver:
    """Goes through a spec and gathers every fault before it gives up."""

    def __init__(self, whole: SearchSpec, place: int, origin: Origin) -> None:
        self.whole = whole
        self.place = place
        self.last = place == len(whole.stages) - 1
        self.spec = whole.at(place)
        self.origin = origin
        self.lines: list[str] = []
        self.kind: type[KdsearchError] = SpecError

    def resolve(self, host: Host) -> Parts:
        spec, stage = self.spec, self.spec.stage
        losses: dict[str, Loss] = {}
        for name in stage.losses:
            with self._at((*STAGE, "losses", name), at_key=True):
                losses[name] = host.loss(loss_of(name))
                if fault := unknown_teacher(stage, name):
                    raise SpecError(fault)
        chosen = self._domains(host)
        with self._at(("ladder", "kind")):
            ladder = host.ladder(spec.ladder.kind)
        self._give_up()
        domain, options = self._configured(chosen)
        self._check_splits()
        ladder_config = self._config(ladder.Config, spec.ladder.rest, ("ladder",))
        self._check_ablations()
        self._check_stopping()
        self._check_teacher(ladder, losses)
        self._check_balance()
        self._check_edges(losses)
        self._check_grid()
        self._check_temperatures(losses)
        self._give_up()
        losses = {key: losses[key] for key in stage.terms}
        each = self._check_drawn(losses, domain)
        by_term = {key: Needs().union(*(needs.get(key, ()) for needs in each)) for key in losses}
        self._check_named(by_term)
        self._give_up()
        needs = tuple(Needs().union(*drawn.values()) for drawn in each)
        return Parts(domain, options, ladder, ladder_config, losses, needs, by_term)

    def _domains(self, host: Host) -> list[tuple[DomainChoice, Domain, Trail]]:
        """Find the domains by name, each with where its part of the spec stands."""
        stage, found = self.spec.stage, []
        for place, choice in enumerate(stage.chosen):
            at: Trail = ("domains", place) if stage.domains else ("domain",)
            with self._at((*STAGE, *at, "name")):
                domain = host.domain(choice.name)
                self._check_use(domain)
                found.append((choice, domain, (*STAGE, *at)))
        return found

    def _configured(self, chosen: Sequence[tuple[DomainChoice, Domain, Trail]]) -> tuple[Any, Any]:
        """Return the domain with its options; several as one."""
        members, domain = [], chosen[0][1]
        for choice, named, at in chosen:
            options = self._config(named.Options, choice.options, (*at, "options"))
            if options is not None:
                with self._at((*STAGE, *at)), PluginCall(f"domain '{named.name}'", "with_options"):
                    members.append(Member(choice.called, configured(named, options), options))
        if len(members) < len(chosen):
            return domain, None  # of no use: what is wrong is told
        domain, options = members[0].domain, members[0].options
        if len(members) > 1:
            with self._at((*STAGE, "domains")):
                domain, options = Union(tuple(members)), UnionOptions()
            if self.spec.search.futility:
                place = self.origin.rename(("search", "futility"))
                self._add(place, "search.futility: no forecast is made for several domains")
        self._check_metric(domain)
        return domain, options

    @contextmanager
    def _at(self, trail: Trail, *, at_key: bool = False) -> Iterator[None]:
        try:
            yield
        except KdsearchError as error:
            self._add(self.origin.rename(trail), str(error), at_key=at_key)
            self.kind = PluginError if isinstance(error, PluginError) else self.kind

    def _add(self, trail: Trail, message: str, *, at_key: bool = False) -> None:
        line = self.origin.line(trail, message, at_key=at_key)
        if line not in self.lines:
            self.lines.append(line)

    def _give_up(self) -> None:
        if self.lines:
            raise self.kind("\n".join(self.lines))

    def _check_use(self, domain: Domain) -> None:
        if domain.use == Use.EVALUATE:
            raise SpecError(f"domain '{domain.name}' is for evaluation only: it has too few items")

    def _check_metric(self, domain: Domain) -> None:
        metric = self.spec.match.metric
        if metric in domain.metrics or not self.last:
            return
        if metric in domain.aggregates:
            reason = "is not a mean over items, so no paired test applies to it"
            message = f"'{metric}' {reason}; allowed: {', '.join(domain.metrics)}"
        else:
            message = f"unknown metric '{metric}': {did_you_mean(metric, domain.metrics)}"
        self._add(self.origin.rename(("match", "metric")), f"match.metric: {message}")

    def _check_splits(self) -> None:
        """Refuse to divide the domain that decides in two ways: dev or confirm would be learned."""
        stage, last = self.spec.stage, self.whole.stage
        shared = {choice.name for choice in stage.chosen} & {choice.name for choice in last.chosen}
        if shared and stage.splits != last.splits:
            trail = self.origin.rename((*STAGE, "splits"))
            self._add(
                trail,
                f"{name_of(trail)}: the last stage divides domain '{min(shared)}' otherwise, "
                "and what it keeps for dev and confirm would be trained on: give both the same",
            )

    def _check_stopping(self) -> None:
        """Refuse to stop early by dev in a stage whose dev is not read."""
        stage = self.spec.stage
        trained: list[tuple[Trail, Any]] = [(("train",), stage.train)]
        trained += [
            (("teachers", place, "fine_tune"), teacher.fine_tune)
            for place, teacher in enumerate(stage.teachers)
            if teacher.fine_tune is not None
        ]
        for trail, training in trained if not self.last else ():
            stopping = training.early_stopping
            if stopping is not None and stopping.on != "loss":
                at = self.origin.rename((*STAGE, *trail, "early_stopping"))
                message = "dev is read in the last stage alone: set on: loss"
                self._add(at, f"{name_of(at)}: {message}")

    def _check_ablations(self) -> None:
        """Refuse to leave out what is no term, or the only one."""
        names, seen = list(self.spec.stage.losses), set[str]()
        for place, term in enumerate(self.spec.ablate):
            message = None
            if term not in names:
                message = f"no loss '{term}' is asked for: {did_you_mean(term, names)}"
            elif term in seen:
                message = f"'{term}' is named twice"
            elif len(names) == 1:
                message = f"'{term}' is the only loss: nothing would be left to train with"
            if message is not None:
                self._add(self.origin.rename(("ablate", place)), f"ablate: {message}")
            seen.add(term)

    def _check_teacher(self, ladder: Ladder, losses: Mapping[str, Loss]) -> None:
        """Refuse what asks more of a black box than its answers."""
        teachers = self.spec.stage.teachers
        black_box = self.last and teachers[0].predictions is not None
        if black_box and getattr(ladder, "needs_model", False):
            self._add(
                self.origin.rename(("ladder", "kind")),
                f"ladder.kind: '{ladder.name}' builds on the teacher's own model, and "
                "teachers.0.predictions is a black box (use scratch)",
            )
        for key in self.spec.stage.terms:
            self._check_needs(key, frozenset(losses[key].needs))

    def _check_needs(self, key: str, needs: Needs) -> None:
        """Refuse what the teachers that a term reads cannot give."""
        stage = self.spec.stage
        faults = [
            *beyond_answers(stage, key, needs),
            *without_reasons(stage, key, needs),
            inseparable(stage, key, needs),
        ]
        for message in filter(None, faults):
            self._add(self.origin.rename((*STAGE, "losses", key)), message, at_key=True)

    def _check_named(self, needs: Mapping[str, Needs]) -> None:
        """Refuse a term that names a teacher and reads none."""
        for key, own in needs.items():
            if teacher_of(key) is not None and not own:
                message = f"loss '{key}' names a teacher and reads none: call it {loss_of(key)}"
                self._add(self.origin.rename((*STAGE, "losses", key)), message, at_key=True)

    def _config(self, model: type[BaseModel], values: Mapping[str, Any], prefix: Trail) -> Any:
        """Validate values that hold no spaces, or note what is wrong with them."""
        return self._validate(model, dict(values), prefix, {}, {})

    def _check_edges(self, losses: Mapping[str, Loss]) -> None:
        """Validate every searched value where its space ends, the others at their first edge."""
        stage = self.spec.stage
        for name, loss in losses.items():
            term, prefix = stage.losses[name], (*STAGE, "losses", name)
            if isinstance(term.weight, WeightSchedule):
                self._at_edges(WeightSchedule, term.written["weight"], (*prefix, "weight"))
            else:
                self._at_edges(FixedWeight, {"weight": term.weight}, prefix)
            self._at_edges(loss.Config, term.rest, prefix)
        fields = {key: getattr(stage.train, key) for key in Training.model_fields}
        searched = {key: value for key, value in fields.items() if isinstance(value, Space)}
        self._at_edges(Training, searched, (*STAGE, "train"))

    def _check_balance(self) -> None:
        """Refuse to balance what has nothing to be balanced with."""
        terms = self.spec.stage.losses
        for name, term in terms.items():
            if term.balance == "auto" and (name == "answer_ce" or "answer_ce" not in terms):
                message = f"losses.{name}.balance: auto scales a term to the size of answer_ce"
                reason = "which is this one" if name == "answer_ce" else "which is not among losses"
                trail = self.origin.rename((*STAGE, "losses", name, "balance"))
                self._add(trail, f"{message}, {reason}")

    def _check_grid(self) -> None:
        """Refuse intervals where every combination is to be walked."""
        if self.spec.search.sampler is not Sampler.GRID:
            return
        for path, space in self.spec.stage.spaces.items():
            if isinstance(space, Uniform | LogUniform):
                trail = self.origin.rename((*STAGE, *path.split(".")))
                self._add(
                    trail,
                    f"{path}: an interval has no grid to walk: use choice, or another "
                    "search.sampler",
                )

    def _check_temperatures(self, losses: Mapping[str, Loss]) -> None:
        """Refuse temperatures from an interval where the tails of kept logits are stored."""
        if self.spec.cache.top_k is None:
            return
        for name, loss in losses.items():
            space = self.spec.stage.losses[name].rest.get("temperature")
            if Signal.TOP_LOGITS in loss.needs and isinstance(space, Uniform | LogUniform):
                self._add(
                    self.origin.rename((*STAGE, "losses", name, "temperature")),
                    f"losses.{name}.temperature: cache.top_k keeps the mass of the other logits at "
                    "known temperatures, and an interval has none: use choice, or leave "
                    "cache.top_k out",
                )

    def _at_edges(self, model: type[BaseModel], values: Mapping[str, Any], prefix: Trail) -> None:
        spaces = {key: value for key, value in values.items() if isinstance(value, Space)}
        base = {**values, **{key: space.edges[0] for key, space in spaces.items()}}
        first = dict.fromkeys(spaces, 0)
        if self._validate(model, base, prefix, spaces, first) is None:
            return
        for key, space in spaces.items():
            for index, edge in enumerate(space.edges[1:], start=1):
                at = {**first, key: index}
                self._validate(model, {**base, key: edge}, prefix, spaces, at)

    def _validate(
        self,
        model: type[BaseModel],
        values: Mapping[str, Any],
        prefix: Trail,
        spaces: Mapping[str, Space],
        at: Mapping[str, int],
    ) -> Any:
        """Validate values taken from the edges `at` of their spaces."""

        def rename(trail: Trail) -> Trail:
            key = str(trail[0]) if trail else ""
            if key in spaces:
                form = next(iter(type(spaces[key]).model_fields))
                trail = (key, form, at[key], *trail[1:])
            return self.origin.rename((*prefix, *trail))

        failed: ValidationError | None = None
        with self._at(prefix), PluginCall(f"{model.__module__}.{model.__qualname__}", "validation"):
            try:
                return strictly(model, values)
            except ValidationError as error:
                failed = error
        if failed is not None:
            also = {"ladder": ["kind"], "losses": [*LossTerm.model_fields]}.get(
                str(prefix[-2:][0]), []
            )
            for fault in faults_of(failed, model, values, rename, also):
                more = "" if fault.at_key else hint(failed, spaces)
                self._add(fault.trail, f"{fault.message}{more}", at_key=fault.at_key)
        return None

    def _check_drawn(self, losses: Mapping[str, Loss], domain: Domain) -> list[dict[str, Needs]]:
        """Validate the configurations that will run; return by term what each needs of teachers.

        Parts that are valid each may not go together.
        """
        found, count = [], self.spec.search.configurations_per_size
        where = self.origin.rename((*STAGE, "losses"))
        for index, drawn in enumerate(self._configurations()):
            settings = self.spec.stage.resolve(self.whole.of_stage(drawn, self.place))
            if index < count and not any(
                counts(values["weight"]) for values in settings.losses.values()
            ):
                self._add(where, f"losses: every weight is 0 in configuration {index}")
                break
            needed: dict[str, Needs] = {}
            for key, loss in losses.items():
                options = options_of(settings.losses[key])
                config = self._validate(loss.Config, options, (*STAGE, "losses", key), {}, {})
                if config is not None:
                    with self._at((*STAGE, "losses", key), at_key=True):
                        needed[key] = self._check_term(key, loss, config, domain)
            if fault := two_texts(self.spec.stage, needed):
                self._add(where, fault)
            found.append(needed)
        return found

    def _check_term(self, key: str, loss: Loss, config: Any, domain: Domain) -> Needs:
        """Check a term with its options against teachers and domain; return what it needs."""
        needed = needs_of(loss, config)
        self._check_needs(key, needed)
        with PluginCall(f"loss '{key}'", "views"):
            faults = [*unfit_views(key, config, domain)]
        if scores_options(loss, config):
            said = self.spec.evaluation.scoring
            faults += filter(None, [unscored(self.spec.stage, key, needed, domain, said)])
        for fault in faults:
            self._add(self.origin.rename((*STAGE, "losses", key)), fault, at_key=True)
        return needed

    def _configurations(self) -> list[Configuration]:
        """Return the configurations that will run, or what stands for those still to be found."""
        search, spaces = self.spec.search, self.whole.spaces
        found = [
            draw(spaces, index, search.seed, search.sampler)
            for index in range(search.configurations_per_size)
        ]
        if search.sampler is Sampler.TPE:
            choices = [(path, edge) for path, space in spaces.items() for edge in space.edges]
            found += [{**found[0], path: edge} for path, edge in choices]
        return found
