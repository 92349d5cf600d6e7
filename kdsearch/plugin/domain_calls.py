"""Calls a domain's `format` and `score`, and tells what is wrong with what they return.

Every call of `score` in kdsearch goes through here, so that a malformed score stops a run as a
fault of the plugin. Whether well-formed scores mean anything is checked by `metric_sanity`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdsearch.errors import PluginError
from kdsearch.plugin.api import Prompt, Scores
from kdsearch.plugin.faults import PluginCall, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.plugin.api import Domain, Example, Prediction


def format_example(domain: Domain, example: Example, options: Any) -> Prompt:
    """Return an example's prompt.

    Raises:
        PluginError: If the domain raises anything but an error of kdsearch, or gives no prompt.
    """
    place = example.place(domain.name)
    advice = None if example.choices else "the example has no choices"
    with PluginCall(place, "format", advice):
        prompt: Any = domain.format(example, options)
    if not isinstance(prompt, Prompt):
        message = f"format returned {shown(prompt)} and no Prompt"
        raise PluginError(message, where=place, fix="return Prompt(target, text)")
    return prompt


def score_predictions(
    domain: Domain, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> Scores:
    """Return a domain's scores: of each of its metrics a float in 0..1 for each prediction.

    What it gives besides the metrics and aggregates that it states is left out.

    Raises:
        PluginError: If the domain raises, or its scores are malformed.
    """
    scores = _called(domain, predictions, examples)
    items = {
        metric: _values(domain, metric, scores.per_item, examples) for metric in domain.metrics
    }
    given = [name for name in domain.aggregates if name in scores.aggregates]
    return Scores(items, {name: _aggregate(domain, name, scores) for name in given})


def score_aggregate(
    domain: Domain, name: str, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> float:
    """Return one of a domain's figures that are not a mean over items; any finite number.

    Raises:
        PluginError: If the domain raises, does not give the figure, or it is no finite number.
    """
    return _aggregate(domain, name, _called(domain, predictions, examples))


def score_fault(domain: Domain, message: str, fix: str) -> PluginError:
    """Return the error for a domain whose `score` is wrong."""
    return PluginError(f"score() {message}", where=f"domain '{domain.name}'", fix=fix)


def _called(
    domain: Domain, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> Scores:
    """Call `score` with lists of its own: it may sort them."""
    advice = "score any text that a model may answer, also an empty one"
    with PluginCall(f"domain '{domain.name}'", "score()", advice):
        scores: Any = domain.score(list(predictions), list(examples))
    if not isinstance(scores, Scores):
        fix = f"return Scores(per_item={{'{domain.metrics[0]}': [...]}})"
        raise score_fault(domain, f"returned {shown(scores)} and no Scores", fix)
    for name in ("per_item", "aggregates"):
        if not isinstance(given := getattr(scores, name), Mapping):
            fix = "give values by the name of their metric"
            raise score_fault(domain, f"gives no mapping as {name}: {shown(given)}", fix)
    return scores


def _values(
    domain: Domain, metric: str, given: Mapping[str, Any], examples: Sequence[Example]
) -> list[float]:
    """Return the values of one metric."""
    if metric not in given:
        fix = f"name '{metric}' in Scores.per_item, or take it out of the domain's metrics"
        listed = ", ".join(map(str, given)) or "nothing"
        raise score_fault(domain, f"gives no '{metric}'; it gives: {listed}", fix)
    advice = "give one value for each prediction, in their order"
    try:
        values = list(given[metric])
    except TypeError as error:
        message = f"gives '{metric}' as {shown(given[metric])}, which is no list"
        raise score_fault(domain, message, advice) from error
    if len(values) != len(examples):
        message = f"gives {len(values)} values of '{metric}' for {len(examples)} predictions"
        raise score_fault(domain, message, advice)
    numbers = [_number(value) for value in values]
    for value, number, example in zip(values, numbers, examples, strict=True):
        if number is None or not 0.0 <= number <= 1.0:
            raise score_fault(
                domain,
                f"gives '{metric}' {shown(value)} for item '{example.id}'; scores lie in 0..1",
                _advice(value, numbers),
            )
    return [number for number in numbers if number is not None]


def _advice(value: Any, numbers: Sequence[float | None]) -> str:
    """Say how to mend a value that is no score."""
    if (number := _number(value)) is None:
        return "give numbers: float(...)"
    if not math.isfinite(number):
        return "give 0.0 where nothing can be computed"
    known = [each for each in numbers if each is not None]
    if number > 1.0 and all(0.0 <= each <= 100.0 for each in known):
        return "divide by 100 if they are percentages"
    return "scale them to 0..1, 1 being right"


def _aggregate(domain: Domain, name: str, scores: Scores) -> float:
    if name not in scores.aggregates:
        fix = f"name '{name}' in Scores.aggregates, or take it out of the domain's aggregates"
        raise score_fault(domain, f"gives no aggregate '{name}'", fix)
    value = scores.aggregates[name]
    number = _number(value)
    if number is None or not math.isfinite(number):
        message = f"gives {shown(value)} as the aggregate '{name}', which is no finite number"
        raise score_fault(domain, message, "give 0.0 where nothing can be computed")
    return number


def _number(value: Any) -> float | None:
    """Return a number, truth value or scalar of an array library as a float; None for others."""
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
