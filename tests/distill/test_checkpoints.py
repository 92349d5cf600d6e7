"""A training that is cut off goes on from its checkpoint as if nothing had been."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.checkpoints import SEAL, Checkpoints
from kdsearch.distill.data import Collator
from kdsearch.distill.losses import AnswerCe
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.training import train
from kdsearch.plugin import LossInputs, Shapes, Signal
from kdsearch.plugin.builtin import AnswerCeConfig
from kdsearch.spec.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


SCORES = {3: 0.2, 5: 0.4, 11: 0.3}
"""What dev is answered by at some steps; nothing else is right."""


class Killed(BaseException):
    """Ends a worker at a report."""


class Straight(torch.nn.Module):
    """A head of its own: the last hidden state should be a linear map of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(8, 8)

    def forward(self, inputs: LossInputs) -> torch.Tensor:
        *_, before, last = inputs.student_hidden["decoder"]
        distances = (self.map(before) - last).square().mean(-1)
        total: torch.Tensor = (distances * inputs.target_mask).sum()
        return total / inputs.window_counts["target_tokens"]


@pytest.fixture
def fit(tiny: Any, tiny_causal: Any, rows: Any, tmp_path: Path) -> Callable[..., Any]:
    """Train the same tiny student; `killed` is the step at which its worker dies."""

    def call(
        folder: str = "training",
        *,
        killed: int = -1,
        identity: str = "same",
        causal: bool = False,
        **asked: Any,
    ) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        torch.manual_seed(3)
        model, facts = tiny_causal(8) if causal else tiny(8)
        answer = AnswerCe(AnswerCeConfig(), Shapes(facts, (facts,)))
        terms = {"answer_ce": Term(answer, 1.0), "straight": Term(Straight(), 1.0, balanced=True)}
        student = DistillationModel(model, terms, needs=[Signal.HIDDEN_STATES])
        told: list[dict[str, Any]] = []

        def report(progress: Mapping[str, Any]) -> None:
            told.append(dict(progress))
            if progress["step"] == killed:
                raise Killed

        values = {"batch_size": 9, "gradient_accumulation": 2, "dropout": 0.1, "max_steps": 17}
        training = Training(**{"learning_rate": 1e-2, **values, **asked})
        train(
            student,
            rows.table(),
            Collator(0, causal=causal),
            training,
            steps=training.max_steps or 1,
            folder=tmp_path / folder,
            seed=0,
            report=report,
            groups=[example.group for example in rows.examples],
            report_steps=range(1, 18),
            identity=identity,
            judge=lambda step: {"score": SCORES.get(step, 0.0)},
        )
        return torch.cat([each.flatten() for each in student.state_dict().values()]), told

    return call


def notes(told: list[dict[str, Any]]) -> list[str]:
    return [progress["note"] for progress in told if "note" in progress]


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ({}, 4),  # in the first epoch, which has six steps
        ({}, 6),  # between two
        ({}, 8),  # in the second
        ({"causal": True}, 8),
        ({"balance": "group"}, 8),
        ({"group_by_length": True}, 8),
        ({"schedule": "cosine", "warmup": 10, "gradient_checkpointing": True}, 5),
    ],
)
def test_a_training_that_is_cut_off_ends_bit_by_bit_the_same(
    fit: Callable[..., Any], tmp_path: Path, asked: dict[str, Any], steps: int
) -> None:
    asked = {**asked, "checkpoints": {"steps": steps}}
    whole, first = fit("whole", **asked)
    with pytest.raises(Killed):
        fit(killed=steps + 2, **asked)
    assert [path.name for path in (tmp_path / "training").iterdir()] == [f"checkpoint-{steps}"]
    again, told = fit(**asked)
    assert torch.equal(whole, again)
    assert told[0] == {
        "step": steps,
        "total_steps": 17,
        "note": f"goes on from its checkpoint at step {steps}",
    }
    assert told[1:] == first[steps:]


def test_a_checkpoint_of_another_training_is_not_used(fit: Callable[..., Any]) -> None:
    with pytest.raises(Killed):
        fit(killed=5, checkpoints={"steps": 4})
    whole, _ = fit("whole", learning_rate=1e-3)
    other, told = fit(identity="other", learning_rate=1e-3)
    assert notes(told) == ["its checkpoint at step 4 is not used: it is of another training"]
    assert torch.equal(whole, other)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "loss_heads.safetensors", "optimizer.pt", "rng_state.pth"]
)
def test_a_damaged_checkpoint_is_found_before_it_is_read(
    fit: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    with pytest.raises(Killed):
        fit(killed=5, checkpoints={"steps": 4})
    file = tmp_path / "training" / "checkpoint-4" / name
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    _, told = fit(max_steps=2)
    assert notes(told) == [f"its checkpoint at step 4 is not used: {name} is damaged"]


def test_nothing_pickled_without_need_is_written(fit: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(killed=5, checkpoints={"steps": 4})
    files = {path.name for path in (tmp_path / "training" / "checkpoint-4").iterdir()}
    assert "training_args.bin" not in files
    assert json.loads((tmp_path / "training" / "checkpoint-4" / SEAL).read_text())["files"]


def test_a_checkpoint_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "same")
    for step in (4, 12):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model").write_text("weights")
    checkpoints.seal(tmp_path / "checkpoint-4")
    assert not (tmp_path / "checkpoint-12").exists()
    (tmp_path / "checkpoint-20").mkdir()
    assert checkpoints.last() == (tmp_path / "checkpoint-4", 4, [])
    assert not (tmp_path / "checkpoint-20").exists()


def test_checkpoints_by_time_are_as_far_apart_as_asked(
    fit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 25))
    watch = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("kdsearch.distill.checkpoints.time", watch)
    sealed: list[str] = []
    monkeypatch.setattr(Checkpoints, "seal", lambda self, path, best: sealed.append(path.name))
    fit(max_steps=8, checkpoints={"minutes": 1})
    assert sealed == ["checkpoint-3", "checkpoint-6"]


@pytest.mark.parametrize("killed", [4, 8, 10])
def test_the_best_weights_outlive_a_worker(
    fit: Callable[..., Any], tmp_path: Path, killed: int
) -> None:
    flat = {"schedule": "constant", "warmup": 2}  # the same steps, however many are to come
    asked = {**flat, "early_stopping": {"patience": 6}, "evaluations": 17}
    best, _ = fit("best", max_steps=5, **flat)
    with pytest.raises(Killed):
        fit(killed=killed, checkpoints={"steps": 2}, **asked)
    kept, told = fit(**asked)
    assert torch.equal(best, kept)
    assert told[-1]["step"] == 11
    assert told[-1]["score"] == 0.4  # of the weights that it keeps
    left = {path.name for path in (tmp_path / "training").glob("best-*")}
    assert "best-5" in left
    assert len(left) <= 2  # the other belongs to the checkpoint


def test_smaller_passes_are_kept(fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = DistillationModel.forward

    def small(self: Any, **batch: Any) -> Any:
        seen.append(len(batch["labels"]))
        if seen[-1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return forward(self, **batch)

    monkeypatch.setattr(DistillationModel, "forward", small)
    with pytest.raises(Killed):
        fit(killed=5, checkpoints={"steps": 4})
    seen.clear()
    fit()
    assert max(seen) == 5
