"""Looks for shortcuts and errors: what a model says to dev, as it stands and with changed prompts.

Confirm is never asked. Prompts are changed through the domain's own `format`, so that a domain has
nothing to do for it.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kdsearch.distill.evaluate import Answers, answer, read_answers
from kdsearch.distill.phases import unheard
from kdsearch.plugin import Answer, Example
from kdsearch.plugin.union import Union, label_of
from kdsearch.plugin.views import WITHOUT_ORDER, permuted
from kdsearch.search.mistakes import Answered, contrast, telling
from kdsearch.search.rules import Rules
from kdsearch.search.several import places_by_domain
from kdsearch.search.shortcuts import (
    SHOWN_ANSWERS,
    Kept,
    Share,
    blanked_figures,
    histogram,
    permuted_figures,
)
from kdsearch.splits import independent, units_of
from kdsearch.stats.intervals import aggregate_intervals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.distill.phases import Progress
    from kdsearch.distill.workspace import Workspace
    from kdsearch.plugin import Domain, Prediction, Student

BLACK_BOX = "a black box cannot be asked again"


class Audit:
    """One model's answers to dev, as they stand and to changed prompts.

    Args:
        workspace: The run.
        folder: Where the model's answers lie: the teacher's folder or a trial's.
        reader: The model with its tokenizer; None of a black box.
        progress: Told while changed prompts are answered.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        reader: Student | None,
        progress: Progress = unheard,
    ) -> None:
        self.workspace = workspace
        self.domain = workspace.parts.domain
        self.examples: Sequence[Example] = workspace.assigned.dev
        self.units = units_of(self.examples)
        self.folder = folder
        self.reader = reader
        self.progress = progress
        self.answers = read_answers(folder / "dev.jsonl")
        self.tokens = 0
        """Read in passes over changed prompts."""

    def shortcuts(self) -> dict[str, Any]:
        """Ask changed prompts and return what `ModelAudited` says of shortcuts."""
        predictions, items = self.answers.predictions, len(self.examples)
        pairs = list(zip(predictions, self.examples, strict=True))
        shares = answer_shares(self.domain, predictions, self.examples)
        units = [self.units[example.id] for example in self.examples] if self.units else None
        figures = aggregate_intervals(
            self.domain, predictions, self.examples, self.rules.confidence, units
        )
        return {
            "items": len(pairs),
            "score": self.answers.mean,
            "aggregates": {name: figure.score for name, figure in figures.items()},
            "aggregate_intervals": {name: figure[1:] for name, figure in figures.items()},
            "histogram": [list(share) for share in shares[:SHOWN_ANSWERS]],
            "most_frequent": {
                "answer": shares[0].answer,
                "share": shares[0].given / items,
                "gold_share": shares[0].gold / items,
            },
            "not_permuted": self._why_not_permuted(),
            "permuted": None if self._why_not_permuted() else self._permuted(),
            **self._blanked(),
        }

    def against(self, teacher: Answers) -> list[Answered]:
        """Return every dev item with what the teacher and this model said to it."""
        own = zip(self.answers.predictions, self.answers.scores, strict=True)
        others = zip(teacher.predictions, teacher.scores, strict=True)
        return [
            Answered(
                id=example.id,
                question=example.question,
                correct=example.correct,
                teacher=theirs.text,
                student=given.text,
                teacher_score=their_score,
                student_score=score,
                choices=example.choices,
                group=example.group,
                unit=self.units.get(example.id),
                confidence=_confidence(given),
            )
            for example, (given, score), (theirs, their_score) in zip(
                self.examples, own, others, strict=True
            )
        ]

    @property
    def rules(self) -> Rules:
        """The run's claim, on dev."""
        match, items = self.workspace.spec.match, len(self.examples)
        return Rules(
            margin=match.margin,
            retain=match.retain,
            confidence=match.confidence,
            dev_items=items,
            confirm_items=items,
        )

    def _why_not_permuted(self) -> str:
        if self.reader is None:
            return BLACK_BOX
        return WITHOUT_ORDER.get(self.domain.answer, "")

    def _ordered(self, example: Example) -> bool:
        """Whether an example's own domain lists its options in an order of their own."""
        if not isinstance(self.domain, Union):
            return True
        return self.domain.by_label[label_of(example.id)].domain.answer not in WITHOUT_ORDER

    def _permuted(self) -> dict[str, Any]:
        """Ask with every option in another place."""
        turned = [permuted(each) if self._ordered(each) else each for each in self.examples]
        answers = self._asked(turned, "permuted")
        pairs = list(zip(answers.predictions, self.answers.predictions, strict=True))
        places = independent(self.examples)
        alone = [pairs[place] for place in places if turned[place] is not self.examples[place]]
        kept = Kept(
            [given.text == before.text for given, before in alone],
            [given.choice == before.choice is not None for given, before in alone],
        )
        units = [self.units[example.id] for example in self.examples] if self.units else None
        return permuted_figures(answers.scores, self.answers.scores, kept, self.rules, units)

    def _blanked(self) -> dict[str, Any]:
        """Ask without the question; of several domains, each is compared by itself."""
        if self.reader is None:
            return {"blanked": None, "not_blanked": BLACK_BOX}
        blank = [replace(example, question="") for example in self.examples]
        every = list(range(len(blank)))
        domains = places_by_domain([example.id for example in blank])
        parts = domains if isinstance(self.domain, Union) else {"": every}
        sources = [
            self.workspace.encoded(each, self.reader).sources for each in (self.examples, blank)
        ]
        without = {
            label: f"{label}: {why}" if label else why
            for label, own in parts.items()
            if (why := self._why_not_blanked(own, *sources))
        }
        not_blanked = "; ".join(without.values())
        if len(without) == len(parts):
            return {"blanked": None, "not_blanked": not_blanked}
        scores = self._asked(blank, "blanked").scores

        def figures(places: Sequence[int]) -> dict[str, Any]:
            units = [self.units.get(blank[place].id, blank[place].id) for place in places]
            changed, before = (
                [each[place] for place in places] for each in (scores, self.answers.scores)
            )
            alone = len(set(units)) == len(units)
            return blanked_figures(changed, before, self.rules, None if alone else units)

        each = {label: figures(own) for label, own in parts.items() if label not in without}
        found = figures(every)
        if "" not in parts:
            reads = all(one["reads"] for one in each.values())
            found |= {"reads": reads, "domains": each}
        return {"blanked": found, "not_blanked": not_blanked}

    def _why_not_blanked(
        self, places: Sequence[int], usual: Sequence[Any], blank: Sequence[Any]
    ) -> str:
        """Say why a model's need of the question cannot be seen on some items; empty if it can."""
        if all(usual[place] == blank[place] for place in places):
            return "its prompts are the same without the question"
        if len({self.examples[place].question for place in places}) < 2:
            return "all its items ask the same question"
        return ""

    def _asked(self, examples: Sequence[Example], name: str) -> Answers:
        """Answer changed examples; the answers are kept beside those to dev."""
        if self.reader is None:
            raise ValueError(BLACK_BOX)
        model, tokenizer = self.reader
        rows = self.workspace.encoded(examples, self.reader)
        least = [tokenizer.eos_token_id]  # a causal model predicts nothing after nothing
        rows = replace(rows, sources=[source or least for source in rows.sources])
        metric = self.workspace.spec.match.metric
        answers = answer(model, tokenizer, rows, self.domain, metric, self.progress)
        answers.write(self.workspace.files, self.folder / f"{name}.jsonl")
        self.tokens += rows.tokens
        return answers


def answer_shares(
    domain: Domain, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> list[Share]:
    """Count the answers given beside the right ones, the most frequent first.

    Options go by their place, any other answer by itself.
    """

    def name(text: str, choice: int | None) -> str:
        if choice is None or domain.answer is Answer.LABEL:
            return text
        return f"option {1 + choice}"

    return histogram(
        [name(given.text, given.choice) for given in predictions],
        [name(example.correct, _gold_choice(example)) for example in examples],
    )


def audited(audit: Audit, teacher: Answers | None, errors: Path) -> dict[str, Any]:
    """Audit a model and write down its errors beside its teacher's.

    Args:
        audit: The model.
        teacher: The teacher's answers to dev; None where the model is the teacher.
        errors: The file for the items that either has wrong, the most telling first.
    """
    found = audit.shortcuts()
    if teacher is None:
        return found
    items = audit.against(teacher)
    lines = [json.dumps(item.to_json(), ensure_ascii=False) for item in telling(items)]
    audit.workspace.files.write(errors, "".join(f"{line}\n" for line in lines))
    return {**found, "errors": contrast(items, audit.rules)}


def _confidence(prediction: Prediction) -> float | None:
    """Return the probability of an answer among the options; None where none were scored."""
    if prediction.choice is None or not prediction.scores:
        return None
    highest = max(prediction.scores)
    shares = [math.exp(score - highest) for score in prediction.scores]
    return round(shares[prediction.choice] / math.fsum(shares), 4)


def _gold_choice(example: Example) -> int | None:
    return example.answer if isinstance(example.answer, int) else None
