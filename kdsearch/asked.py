"""What `--domain` and `--set` ask for where models are asked questions without a spec.

The settings read as edits of a document: `prompt`, `evaluation`, `splits` and `search.seed` as in a
spec, and the options of each domain under its name, as `financial_news.path`. Of a single domain
they may stand under `domain.options` too, as in a spec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from kdsearch.errors import SpecError
from kdsearch.evaluation import Asking
from kdsearch.plugin.api import configured
from kdsearch.questions import Questions, questions_of
from kdsearch.spec.base import Strict
from kdsearch.spec.document import Document, Origin, override
from kdsearch.spec.faults import faults_of, strictly
from kdsearch.spec.models import Evaluation, PromptFormat, Splits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.evaluation import Found
    from kdsearch.plugin.api import Domain
    from kdsearch.plugin.host import Host
    from kdsearch.spec.document import Trail
    from kdsearch.spec.models import DomainChoice
    from kdsearch.spec.record import Record


class Seed(Strict):
    """What splits are drawn by."""

    seed: int | None = Field(default=None, ge=0)


class Changes(Strict):
    """What a user may say of how models are asked, besides the options of domains."""

    prompt: PromptFormat = PromptFormat()
    evaluation: Evaluation = Evaluation()
    splits: Splits | None = None
    search: Seed = Seed()


class DomainAsked(NamedTuple):
    """A domain with its validated options, and the search that some model was made for it by."""

    domain: Domain
    options: Any
    record: Record | None


class Asked:
    """The command line's questions, validated.

    Args:
        names: The domains; those that the models were made for unless given.
        settings: The `--set` values.
        models: What is asked.
        host: What is installed.

    Raises:
        SpecError: If a setting or an option is wrong, one line a fault.
        PluginError: If a broken plugin may have offered a domain.
    """

    def __init__(
        self, names: Sequence[str], settings: Sequence[str], models: Sequence[Found], host: Host
    ) -> None:
        records = [model.record for model in models if model.record is not None]
        made_for = dict.fromkeys(each.name for record in records for each in record.made_for)
        self.names = tuple(dict.fromkeys(names or made_for))
        if not self.names:
            raise SpecError(f"no domain: give --domain NAME ({', '.join(sorted(host.domains))})")
        domains = [host.domain(name) for name in self.names]
        self.document = Document("--set", {}, {})
        for setting in settings:
            self.document = override(self.document, setting)
        data = dict(self.document.data)
        options = {name: self._options_given(data, name) for name in self.names}
        self.changes = self._validated(Changes, data, (), self.names)
        self.domains = [self._domain(domain, options[domain.name], records) for domain in domains]

    @property
    def asking(self) -> Asking:
        """How questions are put, as far as it was said."""
        prompt, evaluation = self.changes.prompt, self.changes.evaluation
        return Asking(
            {name: getattr(prompt, name) for name in prompt.model_fields_set},
            {name: getattr(evaluation, name) for name in evaluation.model_fields_set},
        )

    def questions(
        self, split: str | None, items: int | None = None, *, confirm: bool = False
    ) -> list[Questions]:
        """Return the questions of one split of each domain; see `questions_of`.

        Raises:
            KdsearchError: If data are missing or malformed, or have no such split.
        """
        found = []
        for domain, options, record in self.domains:
            splits, seed, decided = self.changes.splits, self.changes.search.seed, None
            if record is not None:
                decided = record.splits, record.seed
                splits = splits or record.splits
                seed = record.seed if seed is None else seed
            found.append(
                questions_of(
                    domain,
                    options,
                    split,
                    splits=splits,
                    seed=seed or 0,
                    items=items,
                    confirm=confirm,
                    decided=decided,
                )
            )
        return found

    def _options_given(self, data: dict[str, Any], name: str) -> tuple[dict[str, Any], Trail]:
        """Take the options of a domain out of the settings, with the trail that leads to them."""
        trail: Trail = (name,)
        given = data.pop(name, {})
        if len(self.names) == 1 and isinstance(data.get("domain"), dict):
            trail = ("domain", "options")
            rest = dict(data.pop("domain"))
            given = {**given, **(rest.pop("options", None) or {})}
            if rest:
                data["domain"] = rest  # refused with the other unknown keys
        if not isinstance(given, dict):
            where = self.document.place((name,))
            raise SpecError(f"'{name}' has options: write {name}.KEY=VALUE", where=where)
        return given, trail

    def _domain(
        self, domain: Domain, given: tuple[dict[str, Any], Trail], records: Sequence[Record]
    ) -> DomainAsked:
        options, trail = given
        before = [each for record in records for each in record.before]
        own = _made_for(domain, records) or _made_for(domain, before)
        same = {repr((choice.options, each.splits, each.seed)): each for each, choice in own}
        if len(same) > 1:
            listed = ", ".join(f"{record.name} {record.size}" for record in same.values())
            raise SpecError(
                f"the models were made for '{domain.name}' with different data or splits: {listed}",
                fix="evaluate them one by one",
            )
        record = next(iter(same.values()), None)
        known = dict(own[0][1].options) if record else {}
        validated = self._validated(domain.Options, {**known, **options}, trail)
        return DomainAsked(configured(domain, validated), validated, record)

    def _validated(
        self, model: type[BaseModel], data: Any, prefix: Trail, also: Sequence[str] = ()
    ) -> Any:
        try:
            return strictly(model, data)
        except ValidationError as error:
            faults = faults_of(error, model, data, lambda trail: (*prefix, *trail), also)
            lines = [self._line(fault.trail, fault.message) for fault in faults]
            raise SpecError("\n".join(dict.fromkeys(lines))) from error

    def _line(self, trail: Trail, message: str) -> str:
        """Put the setting that is wrong before a message; one that is missing is named."""
        if trail in self.document.places:
            return Origin(self.document).line(trail, message)
        name = ".".join(map(str, trail))
        return f"{message} (give it by --set {name}=VALUE)"


def _made_for(domain: Domain, records: Sequence[Record]) -> list[tuple[Record, DomainChoice]]:
    """Return the records of models that were made for a domain, with how they were."""
    return [
        (record, choice)
        for record in records
        for choice in record.made_for
        if choice.name == domain.name
    ]
