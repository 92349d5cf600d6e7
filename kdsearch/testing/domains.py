"""What every domain is tested for, and a hub without a network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.plugin.api import (
    Answer,
    Domain,
    Example,
    Prediction,
    Prompt,
    Scores,
    Use,
    configured,
)
from kdsearch.plugin.metric_sanity import check_metric
from kdsearch.spec.models import Splits
from kdsearch.splits import divide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

CHOOSING = (Answer.CHOICE, Answer.LABEL)


class Loaded(NamedTuple):
    """A domain with its options and all that it yields."""

    domain: Domain
    options: Any
    examples: list[Example]


class DomainContract:
    """The tests that every domain passes; inherit from it, with pytest.

    They need three examples at least, which `options` may write into the folder that it is given.
    """

    domain: Domain

    def options(self, folder: Path) -> Any:
        """Return options with which the domain loads a few examples.

        Args:
            folder: An empty one, for data.
        """
        raise NotImplementedError

    def loaded(self, folder: Path) -> Loaded:
        """Return the domain, its options and its examples."""
        options = self.options(folder)
        domain = configured(self.domain, options)
        return Loaded(domain, options, list(domain.load(options)))

    def test_it_states_what_it_is(self, tmp_path: Path) -> None:
        """Every attribute of the contract is there, and of its kind."""
        domain = self.loaded(tmp_path).domain
        assert isinstance(domain, Domain), "an attribute or method of the contract is missing"
        assert domain.name.isidentifier(), f"{domain.name!r} is no name of letters, digits and _"
        assert isinstance(domain.version, str), "version is text, such as '1'"
        assert domain.answer in Answer, f"answer is one of {', '.join(Answer)}"
        assert domain.use in Use, f"use is one of {', '.join(Use)}"
        assert domain.metrics, "metrics names at least the primary one"
        assert domain.max_new_tokens >= 1, "an answer has at least one token"

    def test_unknown_options_are_refused(self) -> None:
        """A misspelt key of the spec is no silent default."""
        extra = self.domain.Options.model_config.get("extra")
        assert extra == "forbid", "inherit Options from kdsearch.plugin.Options"

    def test_loading_again_gives_the_same(self, tmp_path: Path) -> None:
        """Splits and caches hang on ids, which do not change between loads."""
        domain, options, examples = self.loaded(tmp_path)
        assert len(examples) >= 3, "give the contract three examples at least"
        assert list(domain.load(options)) == examples, "a second load differs"

    def test_the_engine_takes_its_examples(self, tmp_path: Path) -> None:
        """Ids differ, and answers are among the options."""
        examples = self.loaded(tmp_path).examples
        divided = divide(examples, Splits(dev=1, confirm=1), 0, domain=self.domain.name)
        assert all(divided.splits), "a split of the examples is empty"

    def test_prompts_offer_the_target(self, tmp_path: Path) -> None:
        """What is scored are the example's options in their order, the target one of them."""
        domain, options, examples = self.loaded(tmp_path)
        for example in examples:
            prompt = domain.format(example, options)
            assert (prompt.text is None) != (prompt.messages is None), "text or messages, not both"
            assert prompt.target.strip(), f"'{example.id}' has an empty target"
            assert len(prompt.choices) == len(example.choices), "a string to score for each option"
            assert len(set(prompt.choices)) == len(prompt.choices), "two options read the same"
            if domain.answer in CHOOSING:
                assert prompt.target == prompt.choices[int(example.answer)], "the target is another"

    def test_a_shorter_question_changes_nothing_else(self, tmp_path: Path) -> None:
        """Questions that are too long are cut: options and target stay."""
        domain, options, examples = self.loaded(tmp_path)
        whole = domain.format(examples[0], options)
        cut = domain.format(replace(examples[0], question="Which"), options)
        assert (cut.target, cut.choices) == (whole.target, whole.choices)
        assert _written(cut) != _written(whole), "the prompt does not show the question"

    def test_gold_answers_score_one(self, tmp_path: Path) -> None:
        """Every metric is 1 for the target, with a value for each prediction."""
        domain, options, examples = self.loaded(tmp_path)
        scores = domain.score(_gold(domain, options, examples), examples)
        _check_shape(domain, scores, len(examples))
        for metric, values in scores.per_item.items():
            assert all(value == 1.0 for value in values), f"{metric} of the gold answers is not 1"

    def test_no_answer_scores_zero(self, tmp_path: Path) -> None:
        """A model that says nothing is wrong, and no error."""
        domain, _, examples = self.loaded(tmp_path)
        scores = domain.score([Prediction(each.id, "") for each in examples], examples)
        _check_shape(domain, scores, len(examples))
        primary = scores.per_item[domain.metrics[0]]
        assert not any(primary), f"{domain.metrics[0]} of no answer is not 0"

    def test_the_metric_tells_right_from_wrong(self, tmp_path: Path) -> None:
        """Wrong answers score less; order, other items and a second call change nothing."""
        domain, options, examples = self.loaded(tmp_path)
        check_metric(domain, options, examples, domain.metrics[0])


def _gold(domain: Domain, options: Any, examples: Sequence[Example]) -> list[Prediction]:
    choosing = domain.answer in CHOOSING
    return [
        Prediction(
            example.id,
            domain.format(example, options).target,
            int(example.answer) if choosing else None,
        )
        for example in examples
    ]


def _written(prompt: Prompt) -> str:
    if prompt.text is not None:
        return prompt.text
    return "\n".join(message["content"] for message in prompt.messages or ())


def _check_shape(domain: Domain, scores: Scores, items: int) -> None:
    assert set(scores.per_item) == set(domain.metrics), "score gives other metrics than it states"
    assert set(scores.aggregates) == set(domain.aggregates), "score gives other aggregates"
    for metric, values in scores.per_item.items():
        assert len(values) == items, f"{metric} has {len(values)} values for {items} predictions"
        assert all(0.0 <= value <= 1.0 for value in values), f"{metric} leaves 0 to 1"


def fake_hub(
    monkeypatch: pytest.MonkeyPatch,
    splits: Mapping[str, Sequence[Mapping[str, Any]]] | Exception,
) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Let the hub hold one dataset, without a network.

    Args:
        monkeypatch: Restores the real hub after the test.
        splits: The rows of each split, or what loading raises.

    Returns:
        The names and keywords of every request, filled as they come.
    """
    asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def given(*names: str, **request: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        assert request.pop("trust_remote_code") is False, "a dataset's own code may run"
        asked.append((names, request))
        if isinstance(splits, Exception):
            raise splits
        return splits

    monkeypatch.setattr("datasets.load_dataset", given)
    monkeypatch.setattr("kdsearch.plugin.hub.hub_is_off", lambda: False)
    return asked
