"""Which questions models are asked outside of a search, and what guessing would score on them.

The questions that a search keeps for confirm are not among them: they are read by the verdict
alone.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kdsearch.errors import DataError, SpecError, did_you_mean
from kdsearch.inputs.near_duplicates import DuplicateRule
from kdsearch.inputs.validation import checked
from kdsearch.plugin.api import Answer, Example, Prediction, Use
from kdsearch.plugin.domain_calls import score_predictions
from kdsearch.spec.models import Splits
from kdsearch.splits import OFFICIAL, assign, divide, load_examples, units_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kdsearch.plugin.api import Domain

HELD_OUT = ("dev", "validation", "val")
"""What data call the official split that is nobody's to train on, nor the last test."""

DRAWN = ("train", "dev")
"""The splits that can be asked for as a search would draw them."""


@dataclass(frozen=True)
class Questions:
    """Some questions of a domain."""

    domain: Domain
    options: Any
    """The domain's."""
    split: str
    """`dev`, `train`, `all` or an official split's name."""
    examples: Sequence[Example]
    train: Sequence[Example]
    """Where the most frequent answer is taken from; empty where the questions are all there is."""

    @property
    def units(self) -> list[str] | None:
        """The unit of each question; None where each stands alone."""
        names = units_of(self.examples)
        return [names[example.id] for example in self.examples] if names else None


@dataclass(frozen=True)
class Chance:
    """What answering without reading scores."""

    majority: dict[str, float]
    """By metric: the most frequent answer given to every question."""
    uniform: float | None
    """The share of right answers when options are drawn; None where there are none."""


def questions_of(
    domain: Domain,
    options: Any,
    split: str | None = None,
    *,
    splits: Splits | None = None,
    seed: int = 0,
    items: int | None = None,
    confirm: bool = False,
    decided: tuple[Splits, int] | None = None,
) -> Questions:
    """Return the questions of one split of a domain.

    `dev` is the official dev or validation split unless `splits` are given or the data have none;
    then it is drawn as a search draws it.

    Args:
        domain: What is asked.
        options: The domain's.
        split: `dev`, `train`, `all` or an official split; `dev` unless given, or `all` of a domain
            that is for evaluation only.
        splits: How a search divides the data.
        seed: What it draws by.
        items: Take so many at most, always the same.
        confirm: Whether `all` and official splits keep what a search with these `splits` decides
            by; for answers that are not scored.
        decided: The splits and seed of the search that made the model that is asked, whatever else
            is asked for.

    Raises:
        SpecError: If confirm is asked for, or nothing else is left.
        DataError: If there is no such split, or the data are malformed.
    """
    if split == "confirm":
        raise _decides(split)
    everything = checked(load_examples(domain, options), domain.name)
    official = sorted({example.split for example in everything if example.split is not None})
    wanted = split or ("dev" if splits or domain.use is Use.SEARCH else "all")
    if wanted == "dev" and splits is None:
        wanted = next((name for name in HELD_OUT if name in official), wanted)
    name = wanted.removeprefix(OFFICIAL)
    chosen: Sequence[Example]
    train: Sequence[Example] = ()
    if wanted == "all":
        chosen = everything
    elif name in official and (wanted not in DRAWN or splits is None):
        chosen = [example for example in everything if example.split == name]
        train = [example for example in everything if example.split == "train" != name]
    elif wanted in DRAWN:
        rule = DuplicateRule.of(domain)
        assigned = assign(everything, splits or Splits(), seed, domain=domain.name, rule=rule)
        chosen, train = getattr(assigned, wanted), assigned.train
    else:
        advice = did_you_mean(name, {*official, *DRAWN, "all"})
        raise DataError(f"no split '{name}': {advice}", where=f"domain '{domain.name}'")
    deciding = {(splits, seed)} if splits is not None and wanted not in DRAWN else set()
    if decided is not None and decided != (splits, seed):
        deciding.add(decided)
    for each in () if confirm else deciding:
        kept = _decided(everything, *each, domain)
        chosen = [example for example in chosen if example.id not in kept]
        if not chosen:
            raise _decides(name)
    if items is not None and items < len(chosen):
        chosen = sorted(chosen, key=lambda example: _rank(example, seed))[:items]
    return Questions(domain, options, name, chosen, train)


def _decided(examples: Sequence[Example], splits: Splits, seed: int, domain: Domain) -> set[str]:
    """Return the ids of what decides a search, or is kept to decide it later."""
    rule = DuplicateRule.of(domain)
    divided = divide(examples, splits, seed, domain=domain.name, rule=rule)
    return {example.id for example in (*divided.splits.confirm, *divided.reserve)}


def _decides(split: str) -> SpecError:
    return SpecError(
        "confirm decides a search and is read for nothing else",
        where=f"--split {split}",
        fix="ask for dev, train, all or another official split",
    )


def chance_of(asked: Questions) -> Chance:
    """Return what the most frequent answer, and drawing an option, score on questions.

    The most frequent answer is that of train or, where there is none, of the questions.
    """
    examples = asked.examples
    counts = Counter(example.answer for example in asked.train or examples)
    answer = min(counts, key=lambda answer: (-counts[answer], str(answer)))
    guesses = [_guess(example, answer) for example in examples]
    scores = score_predictions(asked.domain, guesses, examples)
    majority = {
        metric: math.fsum(values) / len(values) for metric, values in scores.per_item.items()
    }
    shares = [1.0 / len(example.choices) for example in examples if example.choices]
    uniform = math.fsum(shares) / len(shares) if len(shares) == len(examples) else None
    return Chance({**majority, **scores.aggregates}, uniform)


def _guess(example: Example, answer: str | int) -> Prediction:
    if isinstance(answer, str):
        return Prediction(example.id, answer)
    text = example.choices[answer] if answer < len(example.choices) else ""
    return Prediction(example.id, text, answer)


def _rank(example: Example, seed: int) -> bytes:
    return sha256(f"{seed}:{example.id}".encode()).digest()


class Line(BaseModel):
    """One line of a file of questions; what else stands in it is left alone."""

    model_config = ConfigDict(frozen=True)

    question: str = Field(min_length=1)
    choices: tuple[str, ...] = ()
    id: str | int | None = None


def read_questions(
    lines: Iterable[str], name: str, domain: Domain, options: Any = None
) -> list[Example]:
    """Read questions whose answers are not known, one JSON object a line.

    Args:
        lines: The file's; blank ones are left out.
        name: The file's, for errors.
        domain: Says whether options are needed, and may name classes.
        options: The domain's.

    Returns:
        Examples with a placeholder for an answer; a question without an id gets its line number.

    Raises:
        DataError: If a line is malformed, lacks options, or repeats an id, or there is none.
    """
    found: dict[str, Example] = {}
    named = getattr(domain, "classes", None)
    classes = tuple(named(options)) if named and domain.answer is Answer.LABEL else ()
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"{name}:{number}"
        try:
            line = Line.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            if fault["type"] == "json_invalid":
                raise DataError(
                    "JSON lines expected, and this is no JSON object",
                    where=where,
                    fix='one object a line, such as {"question": "..."}; CSV is not read',
                ) from error
            place = "".join(f"{part}: " for part in fault["loc"])
            raise DataError(f"{place}{fault['msg']}", where=where) from error
        if domain.answer is Answer.CHOICE and len(line.choices) < 2:
            message = f"domain '{domain.name}' asks for a choice, and the question has no choices"
            raise DataError(message, where=where)
        key = str(number if line.id is None else line.id)
        if key in found:
            raise DataError(f"another question has the id '{key}'", where=where)
        answer = 0 if domain.answer in (Answer.CHOICE, Answer.LABEL) else ""
        found[key] = Example(key, line.question, answer, choices=line.choices or classes)
    if not found:
        raise DataError("there is no question", where=name)
    return list(found.values())
