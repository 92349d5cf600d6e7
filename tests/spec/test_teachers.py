"""What a spec may ask of several teachers, and how it is told what it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Signal
from kdsearch.spec.loading import load, load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

TWO = "teachers=[{name: a, model: x}, {name: b, model: y, weight: 2}]"
BOX = "teachers=[{name: a, model: x}, {name: b, predictions: y}]"
FIXED = "train.learning_rate=1e-3"


def fault(file: Path, host: Host, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(file, host, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("{model: x, device: gpu}", "device: auto, cpu or a GPU by its number, such as cuda:0"),
        ("{model: x, dtype: fp16}", "dtype: unknown value 'fp16': did you mean 'bf16'?"),
        ("{model: x, weight: -1}", "weight: should be greater than or equal to 0"),
        ("{model: x, name: 1st}", "name: letters, digits, _ and -, a letter first, not '1st'"),
        ("{model: x, name: b}, {model: x, name: b}", "teachers: two teachers are called 'b'"),
        ("{model: x, weight: 0}", "teachers: every weight is 0: nobody teaches"),
    ],
)
def test_a_faulty_teacher(toy_spec: Path, toy_host: Host, teacher: str, message: str) -> None:
    assert message in fault(toy_spec, toy_host, f"teachers=[{teacher}]")


@pytest.mark.parametrize(
    ("teachers", "losses", "message"),
    [
        (TWO, "{answer_ce: {}, hidden_mse: {}}",
         "loss 'hidden_mse' needs hidden_states, which 2 teachers have not in common: name a "
         "teacher (hidden_mse@a), or set combine: separate"),
        (TWO, "{soft_labels@c: {}}",
         "loss 'soft_labels@c' names no teacher: allowed: a, b"),
        (TWO, "{answer_ce@a: {}, soft_labels: {}}",
         "loss 'answer_ce@a' names a teacher and reads none: call it answer_ce"),
        (TWO, "{answer_ce@a: {labels: teacher}, answer_ce@b: {labels: teacher}}",
         "losses answer_ce@a and answer_ce@b learn the answers of different teachers"),
        (BOX, "{soft_labels: {}}",
         "loss 'soft_labels' needs top_logits of the teacher, and teachers.1.predictions gives "
         "only choice_scores, rationale, text"),
        (BOX, "{hidden_mse@b: {}}", "loss 'hidden_mse@b' needs hidden_states of the teacher"),
        (TWO, "{soft_lables@a: {}}", "unknown loss 'soft_lables'"),
    ],
)  # fmt: skip
def test_a_mix_that_is_impossible_is_told_at_its_line(
    toy_spec: Path, toy_host: Host, teachers: str, losses: str, message: str
) -> None:
    told = fault(toy_spec, toy_host, teachers, f"losses={losses}")
    assert told.startswith("--set losses=")
    assert message in told


def test_separate_answers_are_several_and_a_student_learns_one(
    toy_spec: Path, toy_host: Host
) -> None:
    told = fault(
        toy_spec, toy_host, TWO, "losses={answer_ce: {labels: teacher}}", "combine=separate"
    )
    assert "name a teacher (answer_ce@a), or set combine: mean" in told


@pytest.mark.parametrize(
    ("overrides", "needs"),
    [
        ([TWO, "losses={soft_labels: {}}"], ["top_logits"] * 2),
        ([TWO, "losses={soft_labels: {}, hidden_mse@b: {}}"], ["top_logits", "both"]),
        ([TWO, "losses={soft_labels: {}}", "combine=correctness"], ["text"] * 2),
        ([TWO, "losses={soft_labels@b: {}}", "combine=correctness"], ["", "top_logits"]),
        ([TWO, "losses={soft_labels: {}, hidden_mse@b: {}}", "teachers.1.weight=0"],
         ["top_logits", ""]),
        ([TWO, "losses={soft_labels: {}, hidden_mse: {}}", "teachers.0.weight=0"], ["", "both"]),
    ],
)  # fmt: skip
def test_what_each_teacher_is_asked(
    toy_spec: Path, toy_host: Host, overrides: list[str], needs: list[str]
) -> None:
    spec, parts, _ = load(toy_spec, toy_host, [FIXED, *overrides])
    meant: dict[str, Any] = {
        "": set(),
        "top_logits": {Signal.TOP_LOGITS},
        "text": {Signal.TOP_LOGITS, Signal.TEXT},
        "both": {Signal.TOP_LOGITS, Signal.HIDDEN_STATES},
    }
    assert [parts.needs_of(spec.stage, place) for place in (0, 1)] == [meant[it] for it in needs]


def test_terms_of_a_teacher_that_does_not_teach_are_left_out(
    toy_spec: Path, toy_host: Host
) -> None:
    losses = "losses={soft_labels: {}, hidden_mse@b: {weight: {choice: [0.5, 1]}}}"
    stage = load_spec(toy_spec, toy_host, [FIXED, TWO, losses, "teachers.1.weight=0"]).stage
    assert list(stage.resolve({}).losses) == ["soft_labels"]
    assert stage.spaces == {}


def test_teachers_without_names_are_called_by_their_place(toy_spec: Path, toy_host: Host) -> None:
    teachers = "teachers=[{model: x}, {model: y}]"
    stage = load_spec(toy_spec, toy_host, [FIXED, teachers, "losses={hidden_mse@1: {}}"]).stage
    assert stage.readers("hidden_mse@1") == (1,)
    assert stage.readers("soft_labels") == (0, 1)
