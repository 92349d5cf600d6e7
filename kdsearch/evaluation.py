"""Asks models questions outside of a search: scores with intervals, or answers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdsearch.errors import ModelError, RunError, StorageError, did_you_mean
from kdsearch.plugin.domain_calls import score_predictions
from kdsearch.plugin.metric_sanity import check_metric
from kdsearch.questions import chance_of
from kdsearch.search.summary import finished_summary
from kdsearch.spec.models import Evaluation, PromptFormat
from kdsearch.spec.record import Record, read_record
from kdsearch.stats.intervals import Interval, aggregate_intervals, mean_interval
from kdsearch.storage import Folder
from kdsearch.storage.sums import check_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kdsearch.plugin.api import Domain, Example, Prediction, Student
    from kdsearch.questions import Questions

CONFIDENCE = 0.95
"""Of every interval; they are two-sided."""

LONGEST_PROMPT = 2048
"""Tokens of a prompt unless a student's record or the user says otherwise, or the model holds
fewer."""


@dataclass(frozen=True)
class Found:
    """A model to be asked."""

    name: str
    folder: Path
    record: Record | None
    """Of the search that made it, if one did."""


@dataclass(frozen=True)
class Asking:
    """How questions are put, as far as the user says it; the rest is the model's own."""

    prompt: Mapping[str, Any]
    """Values of `PromptFormat`."""
    evaluation: Mapping[str, Any]
    """Values of `Evaluation`."""

    def of(self, model: Found, config: Any, domain: Domain) -> tuple[PromptFormat, Evaluation]:
        """Return how a model is asked: as the user says, else as it was while it was trained."""
        if model.record is not None:
            prompt, evaluation = model.record.prompt, model.record.evaluation
        else:
            held = getattr(config, "max_position_embeddings", None) or LONGEST_PROMPT
            longest = min(LONGEST_PROMPT, held - domain.max_new_tokens)
            prompt, evaluation = PromptFormat(max_tokens=max(1, longest)), Evaluation()
        return (
            prompt.model_copy(update=dict(self.prompt)),
            evaluation.model_copy(update=dict(self.evaluation)),
        )

    def scoring(self, model: Found) -> str:
        """Return how a model's answers are found; `auto` where the domain says it."""
        recorded = model.record.evaluation if model.record is not None else Evaluation()
        return str(self.evaluation.get("scoring", recorded.scoring))


@dataclass(frozen=True)
class Answered:
    """What a model answered to questions, and how it was asked."""

    model: Found
    parameters: int
    asked: Questions
    predictions: Sequence[Prediction]
    prompt: str
    """`chat` or `plain`."""
    scoring: str
    """`options`, `generate` or, where only some questions have options, `mixed`."""
    length_normalization: str
    cut: int
    """How many questions were shortened to fit."""

    def to_json(self) -> dict[str, Any]:
        """Return the scores, each with its interval."""
        return {
            "model": self.model.name,
            "folder": str(self.model.folder),
            "parameters": self.parameters,
            "domain": self.asked.domain.name,
            "split": self.asked.split,
            "prompt": self.prompt,
            "scoring": self.scoring,
            "length_normalization": self.length_normalization,
            "cut": self.cut,
            "metrics": {name: found._asdict() for name, found in self.scores().items()},
        }

    def scores(self) -> dict[str, Interval]:
        """Return each metric of the domain with its interval, means before other figures."""
        domain, units = self.asked.domain, self.asked.units
        predictions, examples = self.predictions, self.asked.examples
        judged = score_predictions(domain, predictions, examples)
        means = {
            metric: mean_interval(judged.per_item[metric], CONFIDENCE, units)
            for metric in domain.metrics
        }
        return means | aggregate_intervals(domain, predictions, examples, CONFIDENCE, units)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield each answer with its question and its score by metric."""
        examples = self.asked.examples
        scores = score_predictions(self.asked.domain, self.predictions, examples).per_item
        for place, (given, example) in enumerate(zip(self.predictions, examples, strict=True)):
            right = example.choices[example.answer] if isinstance(example.answer, int) else None
            yield {
                "model": self.model.name,
                "domain": self.asked.domain.name,
                "id": example.id,
                "question": example.question,
                "answer": right if right is not None else example.answer,
                "given": given.text,
                "option_scores": list(given.scores),
                "scores": {metric: values[place] for metric, values in scores.items()},
            }


def find_model(path: Path, size: str | None = None) -> Found:
    """Find the model that a path names: a model folder, or a run's selected student.

    Args:
        path: A model folder or a run directory.
        size: Take the student of this size of a run instead.

    Raises:
        RunError: If a run has selected no student or withheld its match, or has none of that size.
        ModelError: If the path is neither.
        DamagedFileError: If the folder has checksums and a file is not what they say.
    """
    if (path / "config.json").is_file():
        check_sums(path)
        record = read_record(path)
        return Found(path.resolve().name, path, record)
    if not (path / "journal.jsonl").is_file():
        raise ModelError(
            "neither a model folder (no config.json) nor a run directory (no journal.jsonl)",
            where=str(path),
        )
    kept = sorted(folder.parent.name for folder in path.glob("students/*/config.json"))
    if size is not None:
        if size not in kept:
            raise RunError(
                f"the run keeps no student '{size}': {did_you_mean(size, kept)}",
                where=str(path),
                fix="only those that confirm tested are kept; name the folder of a trial's own, "
                f"{path / 'trials'}/TRIAL/student",
            )
        return find_model(path / "students" / size)
    selected = _selected(path)
    if selected is None:
        listed = f"name one of {path / 'students'}: {', '.join(kept)}" if kept else None
        raise RunError("the run has selected no student", where=str(path), fix=listed)
    if not (path / selected / "config.json").is_file():
        raise RunError("the selected student is not there any more", where=str(path / selected))
    return find_model(path / selected)


def _selected(run: Path) -> str | None:
    if (summary := finished_summary(run)) is None:
        return None
    selected = summary["selected"]
    if summary["outcome"] == "withheld":
        raise RunError(
            f"the run withheld its match: {'; '.join(selected['withheld'])}",
            where=str(run),
            fix=f"take it all the same by --size {selected['size']}, or its folder "
            f"{run / selected['path']}",
        )
    return None if selected is None else str(selected["path"])


def check_metrics(models: Sequence[Found], asked: Sequence[Questions], asking: Asking) -> None:
    """Refuse domains whose primary metric cannot tell right answers from wrong ones.

    Raises:
        PluginError: See `metric_sanity.check_metric`.
    """
    for scoring in sorted({asking.scoring(model) for model in models}):
        for each in asked:
            metric = each.domain.metrics[0]
            check_metric(each.domain, each.options, each.examples, metric, scoring=scoring)


def answers_of(
    models: Sequence[Found],
    asked: Sequence[Questions],
    asking: Asking,
    told: Callable[[str], None] = lambda line: None,
) -> Iterator[Answered]:
    """Ask every model every set of questions.

    Args:
        models: Loaded one after the other.
        asked: The questions.
        asking: How they are put.
        told: Called with a line before each set.

    Raises:
        ModelError: If a folder holds no model or no tokenizer that fits it.
        DataError: If a prompt is too long, or its options are the same to a model.
    """
    from kdsearch.distill.loading import load_student

    for model in models:
        student = load_student(model.folder)
        for questions in asked:
            told(f"{model.name}: {len(questions.examples):,} items of {questions.domain.name}")
            yield _answered(model, student, questions, asking)


def _answered(model: Found, student: Student, asked: Questions, asking: Asking) -> Answered:
    from kdsearch.distill.data import encode, use_chat
    from kdsearch.distill.evaluate import predict
    from kdsearch.distill.students import count_parameters

    config = student.model.config
    prompt, evaluation = asking.of(model, config, asked.domain)
    rows = encode(
        asked.examples,
        asked.domain,
        asked.options,
        student.tokenizer,
        prompt,
        causal=not config.is_encoder_decoder,
        evaluation=evaluation,
    )
    scored = {rows.scored(row) for row in range(len(asked.examples))}
    return Answered(
        model=model,
        parameters=count_parameters(student.model),
        asked=asked,
        predictions=predict(student.model, student.tokenizer, rows, asked.domain),
        prompt="chat" if use_chat(student.tokenizer, prompt) else "plain",
        scoring="mixed" if len(scored) > 1 else "options" if scored == {True} else "generate",
        length_normalization=rows.evaluation.length_normalization,
        cut=rows.cut,
    )


def report_of(answered: Sequence[Answered], asked: Sequence[Questions]) -> dict[str, Any]:
    """Return what `kdsearch evaluate` prints: the domains with their chance lines, the scores."""
    return {
        "confidence": CONFIDENCE,
        "domains": [_described(questions) for questions in asked],
        "results": [answers.to_json() for answers in answered],
    }


def _described(asked: Questions) -> dict[str, Any]:
    chance = chance_of(asked)
    return {
        "domain": asked.domain.name,
        "version": asked.domain.version,
        "split": asked.split,
        "items": len(asked.examples),
        "units": len(set(asked.units or ())) or len(asked.examples),
        "majority": chance.majority,
        "majority_of": "train" if asked.train else "the items",
        "uniform": chance.uniform,
    }


def line_of(prediction: Prediction, example: Example) -> dict[str, Any]:
    """Return an answer as a file of a black box holds it.

    An option is given by its text, or by its place where another option reads the same.
    """
    if prediction.choice is None:
        return {"id": prediction.id, "text": prediction.text}
    texts = [choice.strip().casefold() for choice in example.choices]
    alone = texts.count(prediction.text.strip().casefold()) == 1
    choice = prediction.text if alone or not texts else prediction.choice
    line = {"id": prediction.id, "choice": choice}
    return line | ({"scores": list(prediction.scores)} if prediction.scores else {})


def copy_student(student: Found, destination: Path) -> None:
    """Copy a student's folder whole or not at all; nothing is overwritten.

    The copy is as readable as any new file of the user's.

    Raises:
        RunError: If the destination exists or cannot be written.
    """
    if destination.exists():
        raise RunError("it exists already", where=str(destination), fix="name another folder")
    try:
        Folder(destination.absolute().parent).copy(student.folder, destination.name)
    except StorageError as error:
        raise RunError(error.message, where=str(destination), fix="name another folder") from error
