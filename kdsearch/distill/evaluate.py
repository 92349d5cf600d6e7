"""A model's answers to examples, the same code for teacher, student and untrained student.

Choice and label domains are answered by the option of highest log-likelihood, the others by greedy
generation.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdsearch.distill.data import Rows, by_length
from kdsearch.distill.passes import IGNORED, collate, forward, pad
from kdsearch.plugin import Domain, Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.plugin import Example

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
        """Write one JSON line an item: `id`, `prediction`, `score`, of options more."""
        lines = [
            json.dumps(_line(prediction, score))
            for prediction, score in zip(self.predictions, self.scores, strict=True)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf8")


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write predictions whole, one JSON line each."""
    lines = [json.dumps(asdict(prediction)) for prediction in predictions]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf8")


def read_predictions(path: Path) -> list[Prediction]:
    """Read what `write_predictions` wrote."""
    found = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    return [Prediction(**{**line, "scores": tuple(line["scores"])}) for line in found]


def read_answers(path: Path) -> Answers:
    """Read what `Answers.write` wrote."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
    predictions = [
        Prediction(
            line["id"], line["prediction"], line.get("choice"), tuple(line.get("scores", ()))
        )
        for line in lines
    ]
    return Answers(predictions, [float(line["score"]) for line in lines])


def _line(prediction: Prediction, score: float) -> dict[str, Any]:
    line: dict[str, Any] = {"id": prediction.id, "prediction": prediction.text, "score": score}
    if prediction.choice is not None:
        line["choice"] = prediction.choice
    if prediction.scores:  # four decimals tell apart whatever is worth telling apart
        line["scores"] = [round(value, 4) for value in prediction.scores]
    return line


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
    return judge(predictions, rows.examples, domain, metric)


def judge(
    predictions: Sequence[Prediction], examples: Sequence[Example], domain: Domain, metric: str
) -> Answers:
    """Score predictions, in the order of their examples, by one metric of the domain."""
    scores = domain.score(predictions, examples).per_item[metric]
    return Answers(predictions, [float(score) for score in scores])


@torch.inference_mode()
def predict(model: Any, tokenizer: Any, rows: Rows, domain: Domain) -> list[Prediction]:
    """Answer every row; the order and size of batches does not show in the answers."""
    order = by_length(rows)
    found: dict[int, Prediction] = {}
    for start in range(0, len(order), BATCH):
        taken = order[start : start + BATCH]
        if rows.choices[taken[0]]:
            found |= _choose(model, rows, taken)
        else:
            found |= _generate(model, tokenizer, rows, taken, domain)
    return [found[row] for row in range(len(order))]


def _generate(
    model: Any, tokenizer: Any, rows: Rows, taken: Sequence[int], domain: Domain
) -> dict[int, Prediction]:
    """Generate greedily; causal prompts are padded on the left, so that all end together."""
    causal = not model.config.is_encoder_decoder
    sources = [rows.sources[row] for row in taken]
    if causal:
        sources = [source[::-1] for source in sources]
    padding = tokenizer.pad_token_id
    ids, mask = pad(sources, padding), pad([[1] * len(source) for source in sources], 0)
    if causal:
        ids, mask = ids.flip(1), mask.flip(1)
    generated = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        do_sample=False,
        num_beams=1,
        max_new_tokens=domain.max_new_tokens,
        pad_token_id=padding,
    )
    answers = generated[:, ids.shape[1] :] if causal else generated
    found = {}
    for row, text in zip(
        taken, tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True
    ):
        for stop in domain.stop:
            text = text.split(stop)[0]
        found[row] = Prediction(rows.examples[row].id, text.strip())
    return found


def _choose(model: Any, rows: Rows, taken: Sequence[int]) -> dict[int, Prediction]:
    """Score all options of a batch and take the best."""
    single = all(len(ids) == 1 for row in taken for ids in rows.choices[row])
    scores = _single_token_scores(model, rows, taken) if single else _scores(model, rows, taken)
    answers = {}
    for row, values in zip(taken, scores, strict=True):
        best = max(range(len(values)), key=values.__getitem__)
        text = rows.examples[row].choices[best]
        answers[row] = Prediction(rows.examples[row].id, text, best, values)
    return answers


def _single_token_scores(model: Any, rows: Rows, taken: Sequence[int]) -> list[tuple[float, ...]]:
    """Return log-likelihoods read off one pass: what is predicted first does not see the option."""
    logits = _logits(
        model, [rows.sources[row] for row in taken], [rows.choices[row][0] for row in taken]
    )
    logs = logits[:, 0].float().log_softmax(-1).cpu()
    return [
        tuple(logs[place, [ids[0] for ids in rows.choices[row]]].tolist())
        for place, row in enumerate(taken)
    ]


def _scores(model: Any, rows: Rows, taken: Sequence[int]) -> list[tuple[float, ...]]:
    """Return the sum of each option's token log-likelihoods, over (row, option) pairs."""
    pairs = [(row, ids) for row in taken for ids in rows.choices[row]]
    totals: list[float] = []
    for start in range(0, len(pairs), BATCH):
        part = pairs[start : start + BATCH]
        targets = [ids for _, ids in part]
        logits = _logits(model, [rows.sources[row] for row, _ in part], targets)
        labels = pad(targets, IGNORED).to(logits.device)
        logs = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        totals += (logs * (labels != IGNORED)).sum(-1).tolist()
    ends = list(accumulate(len(rows.choices[row]) for row in taken))
    return [tuple(totals[start:end]) for start, end in pairwise([0, *ends])]


def _logits(
    model: Any, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Tensor:
    causal = not model.config.is_encoder_decoder
    batch = collate(sources, targets, model.config.pad_token_id or 0, causal=causal)
    return forward(model, {name: ids.to(model.device) for name, ids in batch.items()}).logits
