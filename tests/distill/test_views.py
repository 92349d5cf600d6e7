"""Questions put in further ways: their rows, and the losses of them against float64."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.data import Encoder
from kdsearch.distill.several import _own
from kdsearch.distill.views import view_columns, view_tokens
from kdsearch.plugin import Answer, Example, Prompt
from kdsearch.plugin.views import Blank, Permuted, Task, permutation
from kdsearch.spec.models import PromptFormat
from tests.distill.reference import SPLITS, TEXTS, Case, agree, expected_of, measured, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from kdsearch.plugin import View


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def case(request: Any, tiny: Any, tiny_causal: Any) -> Case:
    build = tiny_causal if request.param else tiny
    return Case(request.param, build(8).model, build(16, seed=1).model)


def ce(model: Any, source: Sequence[int], target: Sequence[int]) -> Tensor:
    logs = said(model, source, target).logits.log_softmax(-1)
    return -torch.stack([logs[at, token] for at, token in enumerate(target)]).sum()


EXPLAINED: Sequence[tuple[list[int], list[int]]] = [
    ([30, 31, 1], [40, 41, 42, 43, 44, 1]),
    ([], []),
    ([30, 32, 33, 34, 35, 1], [45, 1]),
    ([], []),
    ([30, 36, 1], [46, 47, 48, 1]),
    ([], []),
]
"""Of each row, the source and target of its explanation, where it has one."""


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_rationales_are_a_second_task(case: Case, split: Any, tmp_path: Path) -> None:
    sources, targets = zip(*EXPLAINED, strict=True)
    case.beside = {"explain/sources": sources, "explain/targets": targets}
    found = measured(case, "rationale", {"share": 0.3}, tmp_path, split)

    def objective(model: Any, _: Any) -> Tensor:
        answers = torch.stack([ce(model, *row) for row in TEXTS]).sum()
        reasons = torch.stack([ce(model, *row) for row in EXPLAINED if row[1]]).sum()
        tokens = sum(len(target) for _, target in TEXTS), sum(map(len, targets))
        return 0.7 * answers / tokens[0] + 0.3 * reasons / tokens[1]

    agree(found, expected_of(case, "rationale", objective, {}))


def test_both_tasks_may_have_a_prefix(case: Case, tmp_path: Path) -> None:
    asked = [([29, *source], target) for source, target in TEXTS]
    case.beside = {
        f"{name}/{part}": values
        for name, rows in (("explain", EXPLAINED), ("predict", asked))
        for part, values in zip(("sources", "targets"), zip(*rows, strict=True), strict=True)
    }
    found = measured(case, "rationale", {"share": 0.0, "predict": "x"}, tmp_path, SPLITS[1])

    def objective(model: Any, _: Any) -> Tensor:
        answers = torch.stack([ce(model, *row) for row in asked]).sum()
        return answers / sum(len(target) for _, target in TEXTS)

    agree(found, expected_of(case, "rationale", objective, {}))


CHOICES = {
    "a token each": [[[20], [21]], [[22], [23], [24]], *[[[20], [21]]] * 4],
    "longer": [[[20, 7], [21]], [[22, 5, 6], [23], [24]], *[[[20], [20, 21]]] * 4],
}
TURNED: Sequence[list[int]] = [[50, 51, 1], [52, 1], [53, 54, 55, 1], [56, 1], [57, 1], [58, 59, 1]]


def shares(model: Any, source: Sequence[int], options: Sequence[Sequence[int]]) -> Tensor:
    """Return the probability of each option."""
    scores = torch.stack([-ce(model, source, option) for option in options])
    return scores.softmax(0)


def entropy(p: Tensor) -> Tensor:
    return -(p * p.log()).sum()


def permutation_penalty(model: Any, choices: Sequence[Any]) -> Tensor:
    pairs = [
        (shares(model, source, options), shares(model, turned, options))
        for (source, _), turned, options in zip(TEXTS, TURNED, choices, strict=True)
    ]
    parts = [entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2 for p, q in pairs]
    return torch.stack(parts).mean()


def blank_penalty(model: Any, choices: Sequence[Any]) -> Tensor:
    parts = [
        torch.tensor(float(len(options))).log() - entropy(shares(model, turned, options))
        for turned, options in zip(TURNED, choices, strict=True)
    ]
    return torch.stack(parts).mean()


def prior_penalty(model: Any, choices: Sequence[Any]) -> Tensor:
    mean = torch.zeros(3, dtype=torch.float64)
    for (source, _), options in zip(TEXTS, choices, strict=True):
        each = shares(model, source, options) / len(TEXTS)
        mean = mean + torch.nn.functional.pad(each, (0, 3 - len(options)))
    return (mean * (mean / torch.tensor([0.5, 0.3, 0.2]).double()).log()).sum()


@pytest.mark.parametrize("length", CHOICES)
@pytest.mark.parametrize(
    ("options", "penalty", "split"),
    [
        ({}, permutation_penalty, SPLITS[0]),
        ({}, permutation_penalty, SPLITS[2]),
        ({"permutation": 0.0, "blank": 1.0}, blank_penalty, SPLITS[1]),
        ({"permutation": 0.0, "prior": 1.0}, prior_penalty, SPLITS[0]),
    ],
    ids=["permutation", "permutation-split", "blank", "prior"],
)
def test_penalties_equal_their_formula(
    case: Case,
    length: str,
    options: Mapping[str, float],
    penalty: Callable[[Any, Any], Tensor],
    split: Any,
    tmp_path: Path,
) -> None:
    choices = CHOICES[length]
    case.option_shares = (0.5, 0.3, 0.2)
    case.beside = {"choices": choices}
    name = "blank" if "blank" in options else "permuted"
    if "prior" not in options:
        case.beside |= {
            f"{name}/sources": TURNED,
            f"{name}/targets": [target for _, target in TEXTS],
            f"{name}/choices": choices,
        }
    found = measured(case, "anti_shortcut", options, tmp_path, split)
    reference = expected_of(case, "anti_shortcut", lambda model, _: penalty(model, choices), {})
    agree(found, reference)


def test_answers_that_go_with_their_options_cost_nothing(case: Case, tmp_path: Path) -> None:
    sources, targets = zip(*TEXTS, strict=True)
    choices = CHOICES["a token each"]
    case.beside = {
        "choices": choices,
        "permuted/sources": sources,
        "permuted/targets": targets,
        "permuted/choices": choices,
    }
    assert measured(case, "anti_shortcut", {}, tmp_path).value == pytest.approx(0.0, abs=1e-6)


LETTERS = "ABC"


class Lettered:
    """Options are listed by letter."""

    name = "lettered"
    answer = Answer.CHOICE

    def format(self, example: Example, options: Any) -> Prompt:
        listed = [
            f"{letter} {choice}" for letter, choice in zip(LETTERS, example.choices, strict=False)
        ]
        letters = tuple(LETTERS[: len(listed)])
        text = "\n".join([example.question, *listed])
        return Prompt(letters[int(example.answer)], text, choices=letters)


OWL = Example("7", "Which flies?", 1, choices=("cow", "owl", "ant"), rationale="An owl has wings.")


def test_permuted_options_are_scored_in_the_usual_order() -> None:
    prompt = Permuted().prompt(OWL, lambda example: Lettered().format(example, None))
    assert prompt is not None
    lines = dict(line.split(" ") for line in str(prompt.text).splitlines()[1:])
    assert [lines[letter] for letter in prompt.choices] == list(OWL.choices)
    assert lines[prompt.target] == "owl"
    assert permutation("7", 3) != [0, 1, 2]


def test_a_rationale_is_asked_for_before_the_last_message() -> None:
    def chat(example: Example) -> Prompt:
        messages = ({"role": "system", "content": "s"}, {"role": "user", "content": "q"})
        return Prompt("B", messages=messages, choices=("A", "B"))

    explain = Task("explain", "explain: ", explain=True)
    prompt = explain.prompt(OWL, chat)
    assert prompt is not None
    assert prompt.messages is not None
    assert [each["content"] for each in prompt.messages] == ["s", "explain: q"]
    assert (prompt.target, prompt.choices) == ("An owl has wings.", ())
    assert explain.prompt(replace(OWL, rationale=None), chat) is None


def test_what_is_of_one_teacher_is_its_own() -> None:
    named = {"explain@a": 1, "explain@a/examples": 2, "explain@ab/examples": 3, "examples": 4}
    assert _own(named, "a") == {"explain": 1, "explain/examples": 2, "examples": 4}


@pytest.mark.parametrize("causal", [False, True])
def test_views_become_columns_of_ids(tokenizer: Any, causal: bool) -> None:
    domain: Any = Lettered()
    encoder = Encoder(domain, None, tokenizer, PromptFormat(max_tokens=60), causal=causal)
    silent = replace(OWL, rationale=None)
    explain = Task("explain", "explain: ", explain=True)
    views: list[View] = [Permuted(), Blank(), explain]
    columns: dict[str, list[Any]] = {}
    for view in views:
        columns |= view_columns(view, [OWL, silent], encoder, scored=True)
    assert [bool(ids) for ids in columns["explain/targets"]] == [True, False]
    asked = tokenizer.decode(columns["explain/sources"][0])
    assert asked.startswith("explain: Which flies?")
    assert tokenizer.decode(columns["blank/sources"][1]).startswith("\nA cow")
    assert columns["permuted/choices"][0] == columns["permuted/choices"][1]
    assert view_tokens(columns) > sum(map(len, columns["explain/sources"]))


def test_a_view_is_cut_as_the_usual_prompt_is(tokenizer: Any) -> None:
    long = replace(OWL, question=" ".join(["Which"] * 40))
    limit = PromptFormat(max_tokens=60, truncate="question")
    domain: Any = Lettered()
    encoder = Encoder(domain, None, tokenizer, limit, causal=True)
    usual, _ = encoder.source(long)
    explained = encoder.view(Task("explain", "explain: ", explain=True), long)
    assert explained is not None
    assert tokenizer.decode(explained.source) == f"explain: {tokenizer.decode(usual)}"
    assert (len(usual) <= 60, encoder.cut) == (True, 1)


def test_a_batch_without_a_view_goes_without_it(case: Case, tmp_path: Path) -> None:
    empty: list[list[int]] = [[]] * len(TEXTS)
    case.beside = {"explain/sources": empty, "explain/targets": empty}
    alone = measured(case, "rationale", {"share": 0.0}, tmp_path)
    half = measured(case, "rationale", {"share": 0.5}, tmp_path)
    assert half.value == pytest.approx(0.5 * alone.value)
