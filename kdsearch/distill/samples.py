"""One dev item at a time while a student trains: what is asked, and what is answered to it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from kdsearch.distill.evaluate import Answers, answer
from kdsearch.plugin.texts import tidy

if TYPE_CHECKING:
    from kdsearch.distill.data import Rows
    from kdsearch.plugin import Domain, Student

REMEMBERED = 25
"""Samples in the running average."""

LONGEST = 200
"""Characters of a text that are kept: the journal holds a sample a report."""


class Samples:
    """Asks a student in training the items of dev in turn.

    It takes no random numbers, so that training goes as it would without.

    Args:
        student: In training.
        rows: Dev, as the student reads it.
        teacher: The teacher's answers to dev.
        domain: Judges.
        metric: The one that decides.
    """

    def __init__(
        self, student: Student, rows: Rows, teacher: Answers, domain: Domain, metric: str
    ) -> None:
        self.student = student
        self.rows = rows
        self.teacher = teacher
        self.domain = domain
        self.metric = metric
        self.asked = 0
        self.scores: deque[float] = deque(maxlen=REMEMBERED)

    def take(self) -> dict[str, Any]:
        """Ask the next item.

        Returns:
            `question`, `correct`, `teacher` and `student` in words, `score`, and `running`: the
            mean score of the last samples.
        """
        place = self.asked % len(self.rows.examples)
        self.asked += 1
        row, example = self.rows.only(place), self.rows.examples[place]
        given = answer(self.student.model, self.student.tokenizer, row, self.domain, self.metric)
        self.scores.append(given.mean)
        return {
            "question": _short(example.question),
            "correct": _short(example.correct),
            "teacher": _short(self.teacher.predictions[place].text),
            "student": _short(given.predictions[0].text),
            "score": given.mean,
            "running": sum(self.scores) / len(self.scores),
        }


def _short(text: str) -> str:
    tidied = tidy(text)
    return tidied if len(tidied) <= LONGEST else f"{tidied[: LONGEST - 3]}..."
