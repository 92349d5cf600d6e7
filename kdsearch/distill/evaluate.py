"""A model's answers to examples, the same code for teacher, student and untrained student.

Questions with options are answered by the one of highest log-likelihood, the others by greedy
generation, unless the domain or the spec says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from kdsearch.distill.generation import generate
from kdsearch.distill.phases import unheard
from kdsearch.distill.scoring import choose
from kdsearch.plugin import Prediction
from kdsearch.plugin.domain_calls import score_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.distill.data import Rows
    from kdsearch.distill.phases import Progress
    from kdsearch.plugin import Domain, Example
    from kdsearch.storage import Folder


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

    def write(self, folder: Folder, path: Path) -> None:
        """Write one JSON line an item: `id`, `prediction`, `score`, of options more.

        Args:
            folder: Of the run.
            path: Of the file, in it.
        """
        lines = [
            json.dumps(_line(prediction, score))
            for prediction, score in zip(self.predictions, self.scores, strict=True)
        ]
        folder.write(path, "\n".join(lines) + "\n")


def write_predictions(folder: Folder, path: Path, predictions: Sequence[Prediction]) -> None:
    """Write predictions into a file of a folder, one JSON line each."""
    lines = [json.dumps(asdict(prediction)) for prediction in predictions]
    folder.write(path, "\n".join(lines) + "\n")


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


def answer(
    model: Any,
    tokenizer: Any,
    rows: Rows,
    domain: Domain,
    metric: str,
    progress: Progress = unheard,
) -> Answers:
    """Answer every row and score the answers by one metric of the domain."""
    was_training = model.training
    model.eval()
    predictions = predict(model, tokenizer, rows, domain, progress)
    model.train(was_training)
    return judge(predictions, rows.examples, domain, metric)


def judge(
    predictions: Sequence[Prediction], examples: Sequence[Example], domain: Domain, metric: str
) -> Answers:
    """Score predictions, in the order of their examples, by one metric of the domain."""
    return Answers(predictions, score_predictions(domain, predictions, examples).per_item[metric])


@torch.inference_mode()
def predict(
    model: Any, tokenizer: Any, rows: Rows, domain: Domain, progress: Progress = unheard
) -> list[Prediction]:
    """Answer every row; the order and size of batches does not show in the answers."""
    everything = range(len(rows.sources))
    scored = [row for row in everything if rows.scored(row)]
    free = [row for row in everything if not rows.scored(row)]
    chosen = choose(model, rows, scored, lambda done, _: progress(done, len(everything)))
    generated = generate(
        model,
        tokenizer,
        rows,
        free,
        domain,
        lambda done, _: progress(len(scored) + done, len(everything)),
    )
    found = chosen | generated
    return [found[row] for row in everything]
