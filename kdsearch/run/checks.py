"""What is checked of a search before its first job; `plan` refuses by it what `run` would refuse.

Nothing is written, and torch is not needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.reading import check_prompts
from kdsearch.distill.tokenizing import load_without_torch
from kdsearch.errors import DataError
from kdsearch.inputs.consistency import check_consistent, input_hashes
from kdsearch.plan import Plan, make_plan
from kdsearch.plugin.metric_sanity import check_metric
from kdsearch.plugin.prompt_leak import check_prompts_blind
from kdsearch.spec.parts import resolve_parts
from kdsearch.splits import fingerprint, load
from kdsearch.stages import earlier_train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kdsearch.plugin.api import Example
    from kdsearch.plugin.host import Host
    from kdsearch.search.ledger import ConfirmLedger
    from kdsearch.spec.models import SearchSpec
    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned, Loaded

LOADED_TWICE = 20_000
"""The most examples that are loaded a second time, to see that they stay the same: 9,436 posts of
financial_news take 1.1 s. Of more, the workers alone see it."""


class Inputs(NamedTuple):
    """What a search reads."""

    spec: SearchSpec
    parts: Parts
    loaded: Loaded
    assigned: Assigned
    earlier: Sequence[tuple[Parts, Sequence[Example]]]
    """The plugins of each stage before the last, and what it trains on."""
    plan: Plan


def check_search(
    inputs: Inputs,
    hashes: Mapping[str, str] | None = None,
    load_by: Callable[[Path], Any] = load_tokenizer,
) -> None:
    """Refuse a search whose questions, data or metric are no use.

    Args:
        inputs: What it reads.
        hashes: As `input_hashes` gives them, where they are known.
        load_by: Loads a tokenizer that only transformers reads.

    Raises:
        DataError: If a prompt is too long, or two options are the same to a model.
        InconsistentDataError: If the domain does not give the same data twice.
        ModelError: If a model's tokenizer cannot be loaded.
        PluginError: If prompts hold the answer, or the metric cannot tell right from wrong.
        SpecError: If chat is asked for and a tokenizer has no template.
    """
    spec, parts, _, assigned, earlier, plan = inputs
    check_prompts(spec, parts, plan.teachers, plan.sizes, assigned, earlier, load_by)
    _check_repeatable(inputs, hashes)
    check_judging(spec, parts, assigned)


def check_judging(spec: SearchSpec, parts: Parts, assigned: Assigned) -> None:
    """Refuse prompts that hold the answer, and a metric that cannot tell right from wrong."""
    check_prompts_blind(parts.domain, parts.options, assigned.dev)
    metric, scoring = spec.match.metric, spec.evaluation.scoring
    check_metric(parts.domain, parts.options, assigned.dev, metric, scoring=scoring)


def checked_plan(spec: SearchSpec, host: Host, ledger: ConfirmLedger) -> Plan:
    """Resolve a spec into a plan, and check what it will read as `run` does.

    Data that are not there cannot be checked; the plan says that they are missing.

    Raises:
        KdsearchError: If the search would be refused; see `make_plan` and `check_search`.
    """
    parts = resolve_parts(spec, host)
    try:
        loaded = load(parts.domain, parts.options)
    except DataError:  # missing or malformed; make_plan knows which
        return make_plan(spec, host, ledger=ledger)
    divided = loaded.divide(spec.stage.splits, spec.search.seed)
    plan = make_plan(spec, host, divided, ledger=ledger)
    earlier = []
    for place, own in enumerate(parts.earlier):
        try:
            earlier.append((own, earlier_train(spec, place, own, divided.splits).train))
        except DataError:  # of those that are missing the plan warns; it has refused the others
            continue
    inputs = Inputs(spec, parts, loaded, divided.splits, earlier, plan)
    check_search(inputs, load_by=load_without_torch)
    return plan


def _check_repeatable(inputs: Inputs, hashes: Mapping[str, str] | None) -> None:
    """Refuse a domain that does not give the same data twice, if there are not too many."""
    parts, first, splits = inputs.parts, inputs.loaded, inputs.assigned._asdict()
    if len(first.examples) > LOADED_TWICE:
        return
    if hashes is None:
        hashes = input_hashes(parts.domain, parts.options, splits)
    again = load(parts.domain, parts.options)
    recorded, found = {}, dict[str, str]()
    if list(first.examples) != list(again.examples):  # hashing takes ten times as long
        recorded, found = ({"data": fingerprint(each.examples)} for each in (first, again))
    second = input_hashes(parts.domain, parts.options, splits)
    who = "the same process loaded other data the second time"
    check_consistent(parts.domain.name, {**recorded, **hashes}, found | second, who)
