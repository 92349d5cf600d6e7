"""The teachers of a run as its jobs know them, and what several of them say together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.distill.evaluate import judge, read_predictions
from kdsearch.distill.loading import load_student
from kdsearch.errors import DataError
from kdsearch.predictions import Predictions
from kdsearch.spec.teaching import weighs_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.distill.data import Rows
    from kdsearch.facts import ModelFacts
    from kdsearch.plugin import Example, Prediction, Student
    from kdsearch.spec.models import Stage
    from kdsearch.spec.parts import Parts
    from kdsearch.spec.teachers import Teacher
    from kdsearch.spec.teaching import Needs


@dataclass(frozen=True)
class OneTeacher:
    """One teacher."""

    name: str
    spec: Teacher
    facts: ModelFacts
    """Its path is absolute."""
    root: Path
    """Where its answers and, if made here, weights lie."""
    needs: Needs
    """What the losses need of it."""

    @property
    def folder(self) -> Path:
        """Its model folder, ready to answer; of a black box the students' tokenizer."""
        return Path(str(self.facts.path))

    @cached_property
    def given(self) -> Predictions | None:
        """All that is known of a black box; None of any other."""
        source = self.spec.predictions
        return None if source is None else Predictions(Path(source))

    @property
    def taught_file(self) -> Path:
        """Where its answers to train lie, if a loss needs them."""
        return self.root / "train.jsonl"

    @cached_property
    def taught(self) -> dict[str, Prediction]:
        """Its answers to train, by id; there once it is prepared."""
        return {answer.id: answer for answer in read_predictions(self.taught_file)}

    def load(self) -> Student:
        """Return the model with its tokenizer, where and as it computes."""
        return load_student(self.folder, self.spec.device, self.spec.dtype)


class Staff:
    """Who teaches in a stage.

    Args:
        stage: The stage.
        parts: Its plugins.
        teachers: Those that teach, in the order of the stage.
        metric: By which an answer is right; where the domain has no such, its first.
    """

    def __init__(
        self, stage: Stage, parts: Parts, teachers: Sequence[OneTeacher], metric: str
    ) -> None:
        self.teachers = teachers
        self.names = [teacher.name for teacher in teachers]
        self.domain = parts.domain
        known = parts.domain.metrics
        self.metric = metric if metric in known else known[0]
        self.by_correctness = weighs_answers(stage, parts.needs_by_term)

    def __getitem__(self, name: str) -> OneTeacher:
        return self.teachers[self.names.index(name)]

    def weights(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return by example how much each teacher counts beside the others; they sum to 1.

        Those that are wrong count nothing where `combine: correctness` says so, unless all are.
        """
        given = [teacher.spec.weight for teacher in self.teachers]
        if not self.by_correctness:
            return [_shares(given)] * len(examples)
        scores = zip(*(self._scores(teacher, examples) for teacher in self.teachers), strict=True)
        right = [
            [weight * score for weight, score in zip(given, each, strict=True)] for each in scores
        ]
        return [_shares(each if any(each) else given) for each in right]

    def _scores(self, teacher: OneTeacher, examples: Sequence[Example]) -> Sequence[float]:
        answers = [teacher.taught[example.id] for example in examples]
        return judge(answers, examples, self.domain, self.metric).scores

    def taught(self, names: Sequence[str], examples: Sequence[Example]) -> Mapping[str, Prediction]:
        """Return by id the answer that teachers give together: the one of most weight.

        Of equal ones that of the first teacher to give it.
        """
        if len(names) == 1:
            return self[names[0]].taught
        weights = self.weights(examples)
        return {
            example.id: self._elected(example, shares)
            for example, shares in zip(examples, weights, strict=True)
        }

    def _elected(self, example: Example, shares: Sequence[float]) -> Prediction:
        answers = [teacher.taught[example.id] for teacher in self.teachers]
        votes: dict[int | str, float] = defaultdict(float)
        for answer, share in zip(answers, shares, strict=True):
            votes[_ballot(answer)] += share
        return max(answers, key=lambda answer: votes[_ballot(answer)])

    def scores(self, name: str, rows: Rows) -> list[Sequence[float]]:
        """Return a teacher's scores of the options of each row.

        Raises:
            DataError: If there are none: the domain's prompts give no options to score.
        """
        scores = [self[name].taught[example.id].scores for example in rows.examples]
        for example, known, choices in zip(rows.examples, scores, rows.choices, strict=True):
            if not choices or len(known) != len(choices):
                raise DataError(
                    f"the prompt of '{example.id}' gives no options that the teacher has scored",
                    where=f"domain {self.domain.name}",
                    fix="leave out losses that need choice_scores",
                )
        return list(scores)


def _shares(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def _ballot(answer: Prediction) -> int | str:
    return answer.text.strip() if answer.choice is None else answer.choice
