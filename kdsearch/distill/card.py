"""The model card of a student: what it was made for and from, and what was found of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.distill.usage import usage_text
from kdsearch.spec.objective import options_of
from kdsearch.spec.training import BUDGETS
from kdsearch.storage import read_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kdsearch.distill.usage import Usage
    from kdsearch.spec.models import SearchSpec

SETTINGS = "settings.json"
"""In a trial's folder: all that it trained with."""

VERDICTS = {
    "match": "{it} matches its teacher{over}.",
    "no_match": "{it} does not match its teacher{over}.",
    "undecided": "Whether {it} matches its teacher{over} is undecided.",
}
"""By verdict; what matches is this checkpoint, or its recipe over several seeds."""


class Card(NamedTuple):
    """What a card tells of."""

    spec: SearchSpec
    size: Mapping[str, Any]
    """The size's entry of the summary."""
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    """What its trial trained with: `losses` and `training`."""
    licence: str | None
    """The teacher's."""
    usages: Sequence[Usage]
    """How it is asked without kdsearch."""


def settings_of(trial: Path) -> Mapping[str, Any]:
    """Return what a trial trained with; nothing of one that kept no account."""
    file = trial / SETTINGS
    return read_sealed(file, optional=True) if file.exists() else {}


def licence_of(folder: Path) -> str | None:
    """Return the licence that a model folder's own card states, such as `apache-2.0`."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf8", errors="replace") if card.is_file() else ""
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license: *(\S+)", front[1], re.MULTILINE) if front else None
    return found[1] if found else None


def model_card(card: Card) -> str:
    """Return a model card in Markdown."""
    size, summary, stage = card.size, card.summary, card.spec.stage
    confirm, match, teacher = size["confirm"], summary["match"], summary["teacher"]
    claim = (
        f"at least {match['retain']:g} of the teacher's {match['metric']}"
        if match.get("retain")
        else f"{match['metric']} less than {match['margin']:g} below the teacher's"
    )
    claim += " on each domain" if confirm.get("domains") else ""
    who = "students of its recipe" if confirm["seeds"] > 1 else "this student"
    whole = teacher["parameters"]
    counted = "" if whole is None else f" ({whole:,} parameters)"
    terms = card.licence or "not stated in its folder"
    return f"""---
library_name: transformers
tags: [kdsearch, knowledge-distillation]
---
# {summary["name"]} {size["size"]}

A student of {size["parameters"]:,} parameters for the domain `{stage.domain.name}`, distilled \
from {teacher["name"]}{counted}. {_lineage(card)}{_verdict(size, summary["outcome"])}

| | score | {"units" if confirm["in_units"] else "items"} |
|---|---:|---:|
| {who} | {confirm["score"]:.4f} | {confirm["n"]} |
| teacher | {teacher["confirm"]["score"]:.4f} | {teacher["confirm"]["n"]} |
{_by_domain(confirm)}
The claim tested was {claim}, on items that neither training nor selection saw. Difference \
{confirm["difference"]:+.4f}, one-sided bounds {confirm["lower_bound"]:+.4f} and \
{confirm["upper_bound"]:+.4f}, simultaneous over the tested sizes at \
{100 * match["confidence"]:g} %.{_shortcut(card)}

## Training

Trial `{size["best_trial"]}`{"" if card.settings else "."}{_table(card.settings)}

## Use

Model and tokenizer load by `from_pretrained`; kdsearch is not needed. It was asked by the prompts \
of its domain, of at most {card.spec.prompt.max_tokens} tokens, and knows no others. \
`kdsearch predict` and `kdsearch evaluate` ask it the same way, as `kdsearch.json` records.

{usage_text(card.usages)}

## Licence

What it learned from binds it too: the teacher's licence ({terms}) and that of the domain's data.
"""


def _lineage(card: Card) -> str:
    """Say who else has taught, and what came before the last stage."""
    stage, told = card.spec.stage, ""
    others = [stage.names[place] for place in stage.teaching if place]
    if others:
        who = "" if 0 in stage.teaching else ", which is only what it is compared with"
        told += f"It was taught by {', '.join(others)} too{who}. "
    if before := [f"`{stage.domain.name}`" for stage in card.spec.stages[:-1]]:
        told += f"It learned {', then '.join(before)} before. "
    return told


def _by_domain(confirm: Mapping[str, Any]) -> str:
    """Return the rows of each of several domains; those above are then over all items."""
    return "".join(
        f"| {who} on {label} | {test[score]:.4f} | {test['items']} |\n"
        for label, test in confirm.get("domains", {}).items()
        for who, score in (("student", "student_score"), ("teacher", "teacher_score"))
    )


def _verdict(size: Mapping[str, Any], outcome: str) -> str:
    seeds = size["confirm"]["seeds"]
    it, over = ("its recipe", f" over {seeds} seeds") if seeds > 1 else ("it", "")
    told = VERDICTS[size["verdict"]].format(it=it, over=over)
    proof = " That test was exploratory and proves nothing." if size["exploratory"] else ""
    told = told[0].upper() + told[1:] + proof
    if not (reasons := "; ".join(size.get("withheld", ()))):
        return told
    if outcome == "match":
        return f"{told} The match was declared by `--force`, although {reasons}."
    return f"By its scores alone: {told} The match is withheld: {reasons}."


def _shortcut(card: Card) -> str:
    """Warn of a student that answers without reading."""
    if not card.size.get("shortcut"):
        return ""
    return "\n\nIt takes a shortcut: `kdsearch results RUN --errors` of its search shows which."


def _table(settings: Mapping[str, Any]) -> str:
    """Return the loss terms and what of training is set, as Markdown tables."""
    if not settings:
        return ""
    rows = "".join(f"| `{name}` | {told} |\n" for name, told in _rows(settings))
    return f":\n\n| | |\n|---|---|\n{rows}".rstrip()


def _rows(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place, before in enumerate(settings.get("earlier", ())):
        yield f"stage {place}", f"{', '.join(before['losses'])}, {_budget(before['training'])}"
    for name, term in settings["losses"].items():
        options = {"weight": term["weight"], **options_of(term)}
        yield name, ", ".join(f"{key} {_plain(value)}" for key, value in options.items())
    for key, value in settings["training"].items():
        if value is not None:
            yield key, _plain(value)


def _budget(training: Mapping[str, Any]) -> str:
    """Say how long a training lasts."""
    return next(
        f"{_plain(training[key])} {key.removeprefix('max_')}"
        for key in BUDGETS
        if training[key] is not None
    )


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
