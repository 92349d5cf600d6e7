"""A model's answers to examples, the same code for teacher, student and untrained student.

Choice and label domains are answered by the option of highest log-likelihood, the others by greedy
generation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdsearch.distill.data import IGNORED, Rows, by_length, pad
from kdsearch.plugin import Domain, Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BATCH = 128
"""Rows in one forward pass."""


@dataclass(frozen=True)
class Answers:
    """Predictions and their scores, in the order of the examples."""

    predictions: Sequence[Prediction]
    scores: Sequence[float]
    """Of the metric asked for, in 0..1, an item."""

    @property
    def mean(self) -> float:
        """The metric's mean over the items."""
        return sum(self.scores) / len(self.scores)

    def write(self, path: Path) -> None:
        """Write one JSON line an item: `id`, `prediction`, `score`."""
        lines = [
            json.dumps({"id": prediction.id, "prediction": prediction.text, "score": score})
            for prediction, score in zip(self.predictions, self.scores, strict=True)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf8")


def read_scores(path: Path) -> list[float]:
    """Read the scores of a file that `Answers.write` wrote."""
    lines = path.read_text(encoding="utf8").splitlines()
    return [float(json.loads(line)["score"]) for line in lines]


def discordant(student: Sequence[float], teacher: Sequence[float]) -> tuple[int, int]:
    """Count the items that only the student, and only the teacher, does better."""
    pairs = list(zip(student, teacher, strict=True))
    return sum(s > t for s, t in pairs), sum(s < t for s, t in pairs)


def answer(model: Any, tokenizer: Any, rows: Rows, domain: Domain, metric: str) -> Answers:
    """Answer every row and score the answers by one metric of the domain."""
    was_training = model.training
    model.eval()
    predictions = predict(model, tokenizer, rows, domain)
    model.train(was_training)
    scores = domain.score(predictions, rows.examples).per_item[metric]
    return Answers(predictions, [float(score) for score in scores])


@torch.inference_mode()
def predict(model: Any, tokenizer: Any, rows: Rows, domain: Domain) -> list[Prediction]:
    """Answer every row; the order and size of batches does not show in the answers."""
    order = by_length(rows)
    found: dict[int, Prediction] = {}
    for start in range(0, len(order), BATCH):
        taken = order[start : start + BATCH]
        source = pad([rows.sources[row] for row in taken], model.config.pad_token_id)
        mask = pad([[1] * len(rows.sources[row]) for row in taken], 0)
        batch = {"input_ids": source.to(model.device), "attention_mask": mask.to(model.device)}
        if rows.choices[taken[0]]:
            found |= _choose(model, batch, rows, taken)
        else:
            found |= _generate(model, tokenizer, batch, rows, taken, domain)
    return [found[row] for row in range(len(order))]


def _generate(
    model: Any,
    tokenizer: Any,
    batch: dict[str, Tensor],
    rows: Rows,
    taken: Sequence[int],
    domain: Domain,
) -> dict[int, Prediction]:
    ids = model.generate(
        **batch, do_sample=False, num_beams=1, max_new_tokens=domain.max_new_tokens
    )
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    answers = {}
    for row, text in zip(taken, texts, strict=True):
        for stop in domain.stop:
            text = text.split(stop)[0]
        answers[row] = Prediction(rows.examples[row].id, text.strip())
    return answers


def _choose(
    model: Any, batch: dict[str, Tensor], rows: Rows, taken: Sequence[int]
) -> dict[int, Prediction]:
    """Score all choices of a batch: one encoder pass, one decoder pass over (row, choice) pairs."""
    states = model.get_encoder()(**batch).last_hidden_state
    owners = [place for place, row in enumerate(taken) for _ in rows.choices[row]]
    labels = pad([ids for row in taken for ids in rows.choices[row]], IGNORED).to(model.device)
    owner = torch.tensor(owners, device=model.device)
    logits = model(
        encoder_outputs=(states[owner],),
        attention_mask=batch["attention_mask"][owner],
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
        use_cache=False,
    ).logits
    real = labels != IGNORED
    chosen = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    totals = (chosen * real).sum(-1).tolist()
    answers, at = {}, 0
    for row in taken:
        count = len(rows.choices[row])
        scores = tuple(totals[at : at + count])
        at += count
        best = max(range(count), key=scores.__getitem__)
        text = rows.examples[row].choices[best]
        answers[row] = Prediction(rows.examples[row].id, text, best, scores)
    return answers
