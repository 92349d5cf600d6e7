"""Training: splits of a batch, window counts, checkpoints, stops."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, TrainingArguments

from kdsearch.distill import training
from kdsearch.distill.data import Collator
from kdsearch.distill.losses import AnswerCe, HiddenMse, SoftLabels
from kdsearch.distill.memory import NoMemoryError
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.sources import CachedSignals
from kdsearch.distill.trainer import DistillationTrainer, NonFiniteLossError
from kdsearch.distill.training import train
from kdsearch.plugin import LayerSignal, LossInputs, Shapes, Signal, SignalRequest
from kdsearch.plugin.builtin import AnswerCeConfig, HiddenMseConfig, SoftLabelsConfig
from kdsearch.search.budget import held_out, steps_of
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any, tiny: Any, rows: Any, stored: Any) -> CachedSignals:
    folder = tmp_path_factory.mktemp("signals")
    layers = [LayerSignal(Signal.HIDDEN_STATES, stack, 2) for stack in ("decoder", "encoder")]
    request = SignalRequest(True, layers=tuple(layers))
    return CachedSignals(stored(folder, tiny(12, seed=5).model, rows, request))


def objective(tiny: Any, *, width: int = 8, balanced: bool = False) -> DistillationModel:
    """Return a student with every term of the core."""
    torch.manual_seed(3)
    model, facts = tiny(width)
    shapes = Shapes(facts, (tiny(12).facts,))
    terms = {
        "answer_ce": Term(AnswerCe(AnswerCeConfig(), shapes), 1.0),
        "soft_labels": Term(SoftLabels(SoftLabelsConfig(temperature=2), shapes), 0.5),
        "hidden_mse": Term(HiddenMse(HiddenMseConfig(), shapes), 0.3, balanced),
        "source_mse": Term(HiddenMse(HiddenMseConfig(stack="encoder"), shapes), 0.3),
    }
    return DistillationModel(model, terms, needs={Signal.HIDDEN_STATES})


def fit(
    model: DistillationModel,
    rows: Any,
    store: CachedSignals,
    folder: Path,
    report_steps: range = range(1, 100),
    notes: list[str] | None = None,
    **budget: Any,
) -> list[Any]:
    told: list[Any] = []
    said = [] if notes is None else notes

    def report(progress: Any) -> None:
        if "note" in progress:
            said.append(progress["note"])
        else:
            told.append((progress["step"], progress["total_steps"], progress["losses"]))

    asked = Training(**{"learning_rate": 1e-2, "batch_size": 8, "max_steps": 3, **budget})
    table, held = rows.table(**store.columns(rows)), held_out(asked, len(rows.examples))
    train(
        model,
        table.select(range(len(table) - held)),
        Collator(0, store),
        asked,
        steps=steps_of(asked, len(table), rows.tokens) or 1,
        folder=folder,
        seed=0,
        report=report,
        groups=[example.group for example in rows.examples[: len(table) - held]],
        report_steps=report_steps,
        judge=lambda step: {"score": 1.0 / step},
        validation=table.select(range(len(table) - held, len(table))) if held else None,
        curve=folder / "curves.jsonl",
    )
    return told


def test_accumulation_equals_one_large_batch(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    whole, parts = objective(tiny), objective(tiny)
    one = fit(whole, rows, store, tmp_path, batch_size=24)
    many = fit(parts, rows, store, tmp_path, batch_size=6, gradient_accumulation=4)
    for (_, _, a), (_, _, b) in zip(one, many, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    weights = zip(whole.parameters(), parts.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in weights)


def test_the_first_and_the_last_step_are_reported(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    told = fit(objective(tiny), rows, store, tmp_path, report_steps=range(0))
    assert [told[0][:2], told[-1][:2]] == [(1, 3), (3, 3)]


def test_the_objective_is_the_weighted_sum_of_its_terms(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    weights = {"answer_ce": 1.0, "soft_labels": 0.5, "hidden_mse": 0.3, "source_mse": 0.3}
    for _, _, losses in fit(objective(tiny), rows, store, tmp_path):
        total = sum(weight * losses[f"loss_{name}"] for name, weight in weights.items())
        assert losses["loss"] == pytest.approx(total, rel=1e-5)


def test_training_prints_nothing_on_standard_output(
    tiny: Any, rows: Any, store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(objective(tiny), rows, store, tmp_path)
    assert capsys.readouterr().out == ""


def test_the_first_target_token_counts(tiny: Any, rows: Any, store: Any) -> None:
    seen: list[LossInputs] = []

    class Spy(torch.nn.Module):
        def forward(self, inputs: LossInputs) -> torch.Tensor:
            seen.append(inputs)
            return inputs.student_logits.sum()

    model = DistillationModel(tiny(8).model, {"spy": Term(Spy(), 1.0)})
    batch = Collator(0)(
        [{"input_ids": [5, 1], "labels": [7, 1]}, {"input_ids": [6, 1], "labels": [8, 9, 1]}]
    )
    model(**batch, window_counts={})
    assert seen[0].target_mask.tolist() == [[True, True, False], [True, True, True]]


def test_every_training_value_changes_the_student(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    def trained(**budget: Any) -> torch.Tensor:
        model = objective(tiny)
        fit(model, rows, store, tmp_path, **{"max_steps": 5, **budget})
        return torch.cat([weights.flatten() for weights in model.parameters()]).detach()

    usual = trained()
    assert torch.equal(usual, trained())
    assert torch.allclose(usual, trained(gradient_checkpointing=True), atol=1e-5)
    changes: list[dict[str, Any]] = [
        {"learning_rate": 2e-2},
        {"batch_size": 7},
        {"gradient_accumulation": 2},
        {"max_steps": 4},
        {"max_steps": None, "epochs": 0.5},
        {"max_steps": None, "tokens": 500},
        {"schedule": "cosine"},
        {"schedule": "inverse_sqrt"},
        {"schedule": "constant"},
        {"warmup": 0.5},
        {"warmup": 3},
        {"weight_decay": 0.5},
        {"max_grad_norm": 0.01},
        {"dropout": 0.1},
        {"balance": "group"},
        {"precision": "bf16"},
        {"validation": 0.2},
        {"early_stopping": {"patience": 1}, "evaluations": 5},
    ]
    for change in changes:
        assert not torch.equal(usual, trained(**change)), change
    flat = {"schedule": "constant", "warmup": 0}
    assert not torch.equal(trained(**flat), trained(**flat | {"warmup": 2}))
    tried = {key for change in changes for key in change} | {
        "gradient_checkpointing",
        "group_by_length",  # rows of one length have one order; see below
    }
    assert tried == set(Training.model_fields) - {
        "stall_timeout",
        "checkpoints",  # change nothing: see their own tests
        "deepspeed",  # is not installed here
    }


def test_a_checkpoint_restores_student_and_heads(tiny: Any, tmp_path: Path) -> None:
    model, other = objective(tiny), objective(tiny)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights))
    DistillationTrainer(model=model)._save(str(tmp_path))
    DistillationTrainer(model=other)._load_from_checkpoint(str(tmp_path))
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_checkpoint_is_a_plain_student(tiny: Any, rows: Any, tmp_path: Path) -> None:
    model = objective(tiny)
    DistillationTrainer(model=model)._save(str(tmp_path))
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert set(plain.state_dict()) == set(model.student.state_dict())
    batch = Collator(0)([{"input_ids": [5, 1], "labels": [7, 1]}])
    plain.eval(), model.student.eval()
    assert torch.equal(plain(**batch).logits, model.student(**batch).logits)


class Small:
    """Stands for a device: training on more rows than fit runs out of its memory.

    The forward pass breaks off from step 2 on; or the backward pass, almost at its end, when most
    weights have their gradient already.
    """

    def __init__(self, model: DistillationModel, fitting: int, *, backward: bool) -> None:
        self.rows: list[int] = []
        """Of each pass that fitted."""
        self.fitting, self.backward = fitting, backward
        self.full = False
        model.register_forward_pre_hook(self._forward, with_kwargs=True)
        model.student.shared.weight.register_hook(self._gradient)

    def _forward(self, model: Any, _: Any, batch: dict[str, Any]) -> None:
        rows = len(batch["labels"])
        self.full = rows > self.fitting and model.step > 0
        if self.full and not self.backward:
            self._break()
        if not self.full:
            self.rows.append(rows)

    def _gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.full:
            self._break()
        return gradient

    def _break(self) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    ("fitting", "asked", "notes"),
    [
        (6, {"batch_size": 9, "gradient_accumulation": 2}, [(5, 9, 4)]),
        (2, {"batch_size": 9, "gradient_accumulation": 2}, [(5, 9, 4), (3, 5, 6), (2, 3, 10)]),
    ],
)
def test_without_memory_smaller_passes_make_the_same_steps(
    tiny: Any,
    rows: Any,
    store: Any,
    tmp_path: Path,
    backward: bool,
    fitting: int,
    asked: dict[str, Any],
    notes: list[tuple[int, int, int]],
) -> None:
    whole, parts = (objective(tiny, balanced=True) for _ in range(2))
    told: list[str] = []
    one = fit(whole, rows, store, tmp_path, max_steps=8, **asked)
    device = Small(parts, fitting, backward=backward)
    many = fit(parts, rows, store, tmp_path, notes=told, max_steps=8, **asked)
    for (_, _, a), (_, _, b) in zip(one, many, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    weights = zip(whole.parameters(), parts.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in weights)
    assert told == [
        f"out of memory at step 2: goes on with {now} examples at a time instead of {before}, "
        f"{passes} passes before an optimiser step"
        for now, before, passes in notes
    ]
    assert max(device.rows[4:]) <= fitting


def test_without_memory_for_one_example_training_says_what_would_help(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    model, notes = objective(tiny), list[str]()
    Small(model, 0, backward=False)
    with pytest.raises(NoMemoryError, match=r"step 2 with one example.*gradient_checkpointing"):
        fit(model, rows, store, tmp_path, notes=notes, batch_size=4)
    assert len(notes) == 2


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


def test_losses_of_held_out_examples_are_those_that_training_would_have(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    fit(objective(tiny), rows, store, tmp_path, validation=60, batch_size=9, learning_rate=1e-30)
    first = curve(tmp_path)[0]
    other = objective(tiny)
    held = rows.table(**store.columns(rows)).select(range(40, 100))
    batch = {**Collator(0, store)(list(held)), "window_counts": counts(held)}
    terms = other.train(False)(**batch)["terms"]
    for name, value in terms.items():
        assert first["validation"][f"loss_{name}"] == pytest.approx(float(value), rel=1e-5)
    assert first["validation"]["loss"] == pytest.approx(first["losses"]["loss"], rel=0.1)


def counts(table: Any) -> dict[str, int]:
    return {
        "target_tokens": sum(map(len, table["labels"])),
        "source_tokens": sum(map(len, table["input_ids"])),
        "examples": len(table),
    }


def test_checks_do_not_change_what_is_trained(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    models = [objective(tiny, balanced=True) for _ in range(2)]
    for model, steps in zip(models, (range(0), range(1, 9)), strict=True):
        fit(model, rows, store, tmp_path, steps, validation=20, max_steps=8, dropout=0.1)
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_weights_that_change_do_not_make_the_validation_loss_fall(tiny: Any) -> None:
    falls = {"from": 1.0, "to": 0.5, "over": 0.5, "shape": "linear"}
    weights: dict[str, Any] = {
        "answer_ce": (1.0, False),
        "other": (falls, False),
        "scaled": (5.0, True),
    }
    terms = {name: Term(torch.nn.Identity(), *each) for name, each in weights.items()}
    model = DistillationModel(tiny(8).model, terms)
    assert model.at_the_end({"answer_ce": 2.0, "other": 10.0, "scaled": 9.0}) == 7.0


def test_a_curve_has_what_was_measured(tiny: Any, rows: Any, store: Any, tmp_path: Path) -> None:
    fit(objective(tiny), rows, store, tmp_path, range(5, 31, 5), validation=20, max_steps=30)
    points = curve(tmp_path)
    assert [point["step"] for point in points] == list(range(1, 31))
    names = {"loss", "loss_answer_ce", "loss_soft_labels", "loss_hidden_mse", "loss_source_mse"}
    assert all(set(point["losses"]) == names for point in points)
    checks = [point["step"] for point in points if set(point.get("validation", ())) == names]
    assert checks == [5, 10, 15, 20, 25, 30]
    assert points[4]["score"] == 0.2
    assert points[0]["learning_rate"] < points[2]["learning_rate"]


def test_a_held_out_loss_that_is_not_finite_is_named_too(
    tiny: Any, rows: Any, store: Any, tmp_path: Path
) -> None:
    class Asked(torch.nn.Module):
        def forward(self, inputs: LossInputs) -> torch.Tensor:
            zero = 0.0 * inputs.student_logits.sum()
            return zero if torch.is_grad_enabled() else zero / 0.0

    model = objective(tiny)
    model.heads["asked"], model.weights["asked"] = Asked(), 1.0
    with pytest.raises(NonFiniteLossError, match="asked is nan at step 2 on held-out examples"):
        fit(model, rows, store, tmp_path, range(2, 3), validation=20)


class Late(torch.nn.Module):
    """Is 0 up to its step, and from then on what is made of 0."""

    def __init__(self, step: int, made: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.step, self.made = step, made

    def forward(self, inputs: LossInputs) -> torch.Tensor:
        zero = 0.0 * inputs.student_logits.sum()
        return self.made(zero) if inputs.step + 1 >= self.step else zero


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda zero: zero / 0.0, r"loss term late is nan at step 3 \(.*leave out losses.late"),
        (lambda zero: (zero + 1.0) / 0.0, "loss term late is inf at step 3"),
        (torch.sqrt, "the gradient is nan at step 3, although every loss is finite"),
    ],
)
def test_what_is_not_finite_is_named_before_a_weight_takes_it_in(
    tiny: Any, rows: Any, store: Any, tmp_path: Path, made: Any, message: str
) -> None:
    model = objective(tiny)
    model.heads["late"], model.weights["late"] = Late(3, made), 1.0
    with pytest.raises(NonFiniteLossError, match=message):
        fit(model, rows, store, tmp_path, max_steps=9, report_steps=range(0))
    assert all(weights.isfinite().all() for weights in model.parameters())


def test_a_deepspeed_file_reaches_the_trainer_in_a_group_of_one(
    tiny: Any, rows: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def arguments(**options: Any) -> Any:
        given.extend([options.pop("deepspeed"), os.environ.pop("WORLD_SIZE", None)])
        return TrainingArguments(**options)

    @contextmanager
    def group() -> Iterator[None]:
        os.environ["WORLD_SIZE"] = "1"
        yield

    monkeypatch.setattr(training, "TrainingArguments", arguments)
    monkeypatch.setattr(training, "group_of_one", group)
    fit(objective(tiny), rows, store, tmp_path, deepspeed="zero2.json")
    fit(objective(tiny), rows, store, tmp_path)
    assert given == ["zero2.json", "1", None, None]
