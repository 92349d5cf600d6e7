"""What a domain's `score` may return, and how each fault of it is told."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from kdsearch.errors import DataError, PluginError
from kdsearch.plugin import Answer, Example, Options, Prediction, Scores
from kdsearch.plugin.domain_calls import format_example, score_aggregate, score_predictions
from kdsearch.plugin.union import Member, Union
from kdsearch.splits import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.plugin import Domain

EXAMPLES = [Example("one", "1?", "1"), Example("two", "2?", "2")]
PREDICTIONS = [Prediction("one", "1"), Prediction("two", "2")]


@dataclass
class Scored:
    """A domain that scores by a function."""

    score: Callable[[Any, Any], Any]
    name: str = "mine"
    metrics: tuple[str, ...] = ("accuracy",)
    aggregates: tuple[str, ...] = ("macro_f1",)
    answer: Answer = Answer.TEXT


@dataclass
class Failing(Scored):
    """A domain of which every method is one function."""

    def __post_init__(self) -> None:
        self.load = self.format = self.score


def domain(returned: Any) -> Domain:
    return cast("Domain", Scored(lambda predictions, examples: returned))


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (
            [1.0, 0.0],
            "score() returned [1.0, 0.0] and no Scores (return Scores(per_item={'accuracy': [...]})"
            ")",
        ),
        (
            Scores([1.0, 0.0]),  # type: ignore[arg-type]  # the fault
            "score() gives no mapping as per_item: [1.0, 0.0] (give values by the name of their "
            "metric)",
        ),
        (
            Scores({"acc": [1.0, 0.0], "f1": [1.0, 0.0]}),
            "score() gives no 'accuracy'; it gives: acc, f1 (name 'accuracy' in Scores.per_item, "
            "or take it out of the domain's metrics)",
        ),
        (
            Scores({"accuracy": 0.5}),  # type: ignore[dict-item]  # the fault
            "score() gives 'accuracy' as 0.5, which is no list (give one value for each "
            "prediction, in their order)",
        ),
        (
            Scores({"accuracy": [1.0]}),
            "score() gives 1 values of 'accuracy' for 2 predictions (give one value for each "
            "prediction, in their order)",
        ),
        (
            Scores({"accuracy": [0.0, 100.0]}),
            "score() gives 'accuracy' 100.0 for item 'two'; scores lie in 0..1 (divide by 100 if "
            "they are percentages)",
        ),
        (
            Scores({"accuracy": [-1.0, 1.0]}),
            "score() gives 'accuracy' -1.0 for item 'one'; scores lie in 0..1 (scale them to 0..1, "
            "1 being right)",
        ),
        (
            Scores({"accuracy": [1.0, float("nan")]}),
            "score() gives 'accuracy' nan for item 'two'; scores lie in 0..1 (give 0.0 where "
            "nothing can be computed)",
        ),
        (
            Scores({"accuracy": ["1.0", "0.0"]}),  # type: ignore[list-item]  # the fault
            "score() gives 'accuracy' '1.0' for item 'one'; scores lie in 0..1 (give numbers: "
            "float(...))",
        ),
    ],
)
def test_malformed_scores_are_a_fault_of_the_plugin(returned: Any, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        score_predictions(domain(returned), PREDICTIONS, EXAMPLES)
    assert str(caught.value) == f"domain 'mine': {told}"


@pytest.mark.parametrize(
    "values", [[True, 0], np.array([1, 0], np.float32), (Decimal(1), Decimal(0)), [1.0, -0.0]]
)
def test_numbers_of_any_kind_become_floats(values: Any) -> None:
    returned = Scores({"accuracy": values, "undeclared": [7.0]}, {"undeclared": 7.0})
    scores = score_predictions(domain(returned), PREDICTIONS, EXAMPLES)
    assert scores == Scores({"accuracy": [1.0, 0.0]})
    assert {type(value) for value in scores.per_item["accuracy"]} == {float}


def test_what_score_raises_is_told_with_its_place() -> None:
    def score(predictions: Any, examples: Any) -> Any:
        raise ZeroDivisionError("nothing to divide by")

    with pytest.raises(PluginError, match=r"score\(\) raised ZeroDivisionError: nothing .*\.py:\d"):
        score_predictions(cast("Domain", Scored(score)), PREDICTIONS, EXAMPLES)


def test_an_error_of_kdsearch_stays_what_it_is() -> None:
    def score(predictions: Any, examples: Any) -> Any:
        raise DataError("no gold file")

    with pytest.raises(DataError, match="no gold file"):
        score_predictions(cast("Domain", Scored(score)), PREDICTIONS, EXAMPLES)


def test_a_domain_that_sorts_its_arguments_leaves_the_callers_lists_alone() -> None:
    def score(predictions: Any, examples: Any) -> Any:
        predictions.clear()
        return Scores({"accuracy": [1.0] * len(examples)})

    given = list(PREDICTIONS)
    score_predictions(cast("Domain", Scored(score)), given, EXAMPLES)
    assert given == PREDICTIONS


@pytest.mark.parametrize(
    ("aggregates", "told"),
    [
        ({}, "gives no aggregate 'macro_f1'"),
        ({"macro_f1": float("inf")}, "gives inf as the aggregate 'macro_f1', which is no finite"),
        ({"macro_f1": None}, "gives None as the aggregate 'macro_f1', which is no finite number"),
    ],
)
def test_figures_that_are_no_mean_are_finite_numbers(aggregates: Any, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        score_aggregate(domain(Scores({}, aggregates)), "macro_f1", PREDICTIONS, EXAMPLES)
    found = domain(Scores({}, {"macro_f1": 12}))
    assert score_aggregate(found, "macro_f1", PREDICTIONS, EXAMPLES) == 12.0


def test_of_several_domains_the_one_that_is_wrong_is_named() -> None:
    wrong = domain(Scores({"accuracy": [100.0]}))
    members = [Member(label, wrong, Options()) for label in ("one", "other")]
    examples = [Example(f"{label}:1", "?", "1") for label in ("one", "other")]
    with pytest.raises(PluginError, match=r"domain 'mine': .* for item '1';"):
        score_predictions(Union(tuple(members)), PREDICTIONS, examples)


class Stop(BaseException):
    """What no `except Exception` stops."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(2), r"raised SystemExit: sys\.exit\(2\) was called, at .*test_domain_calls"),
        (Stop("now"), r"raised .*Stop: now, at .*test_domain_calls"),
        (ValueError("\ud800"), r"raised ValueError: "),
    ],
)
def test_what_would_end_the_process_is_a_fault_of_the_plugin(
    error: BaseException, told: str
) -> None:
    def fail(*arguments: Any) -> Any:
        raise error

    mine = cast("Domain", Failing(fail))
    with pytest.raises(PluginError, match=f"domain 'mine': load {told}"):
        load(mine, None)
    with pytest.raises(PluginError, match=f"domain 'mine', example 'one': format {told}"):
        format_example(mine, EXAMPLES[0], None)
    with pytest.raises(PluginError, match=rf"domain 'mine': score\(\) {told}"):
        score_predictions(mine, PREDICTIONS, EXAMPLES)


def test_ctrl_c_is_no_fault_of_the_plugin() -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(cast("Domain", Failing(interrupted)), None)


def test_a_prompt_that_is_none() -> None:
    mine = cast("Domain", Failing(lambda *arguments: "just text"))
    with pytest.raises(PluginError, match="format returned 'just text' and no Prompt"):
        format_example(mine, EXAMPLES[0], None)
