"""What plugins say of a spec: above all, what can be asked of a black box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import SpecError
from kdsearch.plugin.api import Signal
from kdsearch.plugin.host import Host
from kdsearch.spec.loading import load, load_spec

if TYPE_CHECKING:
    from pathlib import Path

TEACHER = """  - scratch: {family: t5, d_model: 32, d_ff: 64, layers: 2, heads: 2}
    fine_tune: {max_steps: 20, batch_size: 16, learning_rate: 5e-3}
"""
GIVEN = "teachers=[{predictions: answers.jsonl}]"
PLACED = """
from toy_domain import *

class Placed(Toy):
    name, answer, aggregates, scoring = "placed", Answer.CHOICE, (), "{scoring}"

@hookimpl
def kdsearch_domains():
    return [Placed()]
"""


@pytest.fixture
def black_box(toy_spec: Path, tmp_path: Path) -> Path:
    """Return the toy spec with a file of answers for a teacher."""
    file = tmp_path / "spec.yaml"
    text = toy_spec.read_text(encoding="utf8")
    file.write_text(text.replace(TEACHER, "  - predictions: answers.jsonl\n"), encoding="utf8")
    return file


def fault(file: Path, host: Host, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(file, host, overrides)
    return str(caught.value)


def test_a_loss_that_asks_more_than_answers_is_refused_at_its_line(
    black_box: Path, toy_host: Host
) -> None:
    assert fault(black_box, toy_host) == (
        f"{black_box}:15:3: loss 'soft_labels' needs top_logits of the teacher, and "
        "teachers.0.predictions gives only choice_scores, rationale, text"
    )


def test_every_such_loss_and_the_ladder_are_told_at_once(black_box: Path, toy_host: Host) -> None:
    told = fault(
        black_box, toy_host, "losses.hidden_mse={}", "ladder={kind: depth, layers: [1]}"
    ).splitlines()
    assert [line.split(" needs ")[0] for line in told[1:]] == [
        f"{black_box}:15:3: loss 'soft_labels'",
        "--set losses.hidden_mse={}: loss 'hidden_mse'",
    ]
    assert told[0] == (
        "--set ladder={kind: depth, layers: [1]}: ladder.kind: 'depth' builds on the teacher's "
        "own model, and teachers.0.predictions is a black box (use scratch)"
    )


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("{predictions: a, model: b}", "give exactly one of model, scratch, predictions"),
        ("{predictions: a, fine_tune: {}}", "a black box cannot be trained: leave fine_tune out"),
        ("{prediction: a}", "unknown key 'prediction' in teachers.0: did you mean 'predictions'?"),
    ],
)
def test_a_faulty_black_box(toy_spec: Path, toy_host: Host, teacher: str, message: str) -> None:
    assert message in fault(toy_spec, toy_host, f"teachers=[{teacher}]", "losses={answer_ce: {}}")


def test_needs_follow_the_options_of_each_configuration(toy_spec: Path, toy_host: Host) -> None:
    losses = "losses={answer_ce: {labels: {grid: [gold, teacher]}}, soft_labels: {}}"
    parts = load(toy_spec, toy_host, [losses, "train.learning_rate=1e-3"]).parts
    logits = Signal.TOP_LOGITS
    assert parts.needs_by_configuration == (frozenset({logits}), frozenset({logits, Signal.TEXT}))
    assert parts.needs == {logits, Signal.TEXT}


def test_a_black_box_teaches_by_its_answers(toy_spec: Path, toy_host: Host) -> None:
    overrides = [GIVEN, "losses={answer_ce: {labels: teacher}}", "train.learning_rate=1e-3"]
    assert load(toy_spec, toy_host, overrides).parts.needs == {Signal.TEXT}


def test_the_baseline_learns_gold(toy_spec: Path, toy_host: Host) -> None:
    loss = "losses={answer_ce: {labels: teacher, label_smoothing: 0.1}}"
    stage = load_spec(toy_spec, toy_host, [loss, "train.learning_rate=1e-3"]).stage
    assert stage.baseline({}).losses == {"answer_ce": {"label_smoothing": 0.1, "weight": 1.0}}


def test_scores_of_options_need_options(toy_spec: Path, toy_host: Host) -> None:
    told = fault(toy_spec, toy_host, GIVEN, "losses={choice_scores: {}}")
    assert told == (
        "--set losses={choice_scores: {}}: loss 'choice_scores' compares options, and domain 'toy' "
        "has none"
    )


@pytest.mark.parametrize(
    ("scoring", "overrides", "why"),
    [
        ("auto", ("evaluation.scoring=generate",), "by evaluation.scoring"),
        ("generate", (), "as domain 'placed' asks"),
    ],
)
def test_generated_answers_have_no_scores_to_learn(
    tmp_path: Path,
    toy_spec: Path,
    toy_plugin: Path,
    scoring: str,
    overrides: tuple[str, ...],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "placed.py").write_text(PLACED.format(scoring=scoring))
    host = Host([tmp_path / "placed.py"])
    asked = ("domain.name=placed", "losses={choice_scores: {}}", *overrides)
    assert fault(toy_spec, host, *asked) == (
        "--set losses={choice_scores: {}}: loss 'choice_scores' compares scores of options, and "
        f"{why} the teacher generates its answers: set evaluation.scoring: options, or leave the "
        "loss out"
    )
    load_spec(toy_spec, host, [*asked, "evaluation.scoring=options"])
    load_spec(toy_spec, host, [*asked, GIVEN])  # its file brings the scores


@pytest.mark.parametrize(
    ("ablate", "message"),
    [
        ("[soft_label]", "did you mean 'soft_labels'?"),
        ("[soft_labels, soft_labels]", "named twice"),
    ],
)
def test_what_cannot_be_ablated(toy_spec: Path, toy_host: Host, ablate: str, message: str) -> None:
    assert message in fault(toy_spec, toy_host, f"ablate={ablate}")


def test_the_only_loss_cannot_be_ablated(toy_spec: Path, toy_host: Host) -> None:
    told = fault(toy_spec, toy_host, "losses={answer_ce: {}}", "ablate=[answer_ce]")
    assert told.startswith("--set ablate=[answer_ce]: ablate: 'answer_ce' is the only loss")


def test_kept_logits_need_known_temperatures(toy_spec: Path, toy_host: Host) -> None:
    interval = "losses.soft_labels.temperature={uniform: [1.0, 4.0]}"
    told = fault(toy_spec, toy_host, "cache.top_k=16", interval)
    assert "losses.soft_labels.temperature: cache.top_k keeps the mass of the other logits" in told
    assert told.startswith("--set losses.soft_labels.temperature=")
    assert "use choice, or leave cache.top_k out" in told
    load_spec(toy_spec, toy_host, [interval])
    load_spec(toy_spec, toy_host, ["cache.top_k=16"])
