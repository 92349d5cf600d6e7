"""Options: their log-likelihoods as one prompt alone has them, and which is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.distill import passes
from kdsearch.distill.data import Rows, encode
from kdsearch.distill.scoring import choose, option_scores
from kdsearch.errors import DataError
from kdsearch.plugin import Example
from kdsearch.spec.models import Evaluation, PromptFormat

WORDS = st.text("0123456789", min_size=1, max_size=4)


def alone(model: Any, source: list[int], ids: list[int]) -> float:
    """Score one option after one prompt, without padding or mask."""
    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            labels = torch.tensor([ids])
            logits = model(torch.tensor([source]), labels=labels).logits[0]
        else:
            logits = model(torch.tensor([[*source, *ids]])).logits[0, len(source) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(ids)), ids].sum())


@settings(max_examples=12)
@given(
    asked=st.lists(
        st.tuples(WORDS, st.lists(WORDS, min_size=2, max_size=3, unique=True)),
        min_size=2,
        max_size=5,
    ),
    largest=st.integers(1, 6),
    causal=st.booleans(),
)
def test_a_batch_scores_what_each_prompt_alone_does(
    asked: list[tuple[str, list[str]]],
    largest: int,
    causal: bool,
    tiny: Any,
    tiny_causal: Any,
    bigger: Any,
    tokenizer: Any,
) -> None:
    model = (tiny_causal if causal else tiny)(16).model.eval()
    examples = [
        Example(str(place), question, 0, choices=tuple(options))
        for place, (question, options) in enumerate(asked)
    ]
    rows = encode(examples, bigger, None, tokenizer, PromptFormat(), causal=causal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "LARGEST_BATCH", largest)
        told: list[tuple[int, int]] = []
        found = option_scores(model, rows, range(len(examples)), lambda *each: told.append(each))
    assert told == sorted(set(told))
    assert told[-1] == (len(examples), len(examples))
    for row, source in enumerate(rows.sources):
        expected = [alone(model, list(source), list(ids)) for ids in rows.choices[row]]
        assert found[row] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("normalization", "best"), [("none", 0), ("tokens", 1), ("bytes", 2)])
def test_lengths_count_as_asked(normalization: Any, best: int, monkeypatch: Any) -> None:
    names = ("a", "bb", "cccccccc")
    example = Example("x", "?", 0, choices=names)
    how = Evaluation(length_normalization=normalization)
    rows = Rows([example], [[3]], [[4]], [[[5], [6] * 4, [7] * 2]], 0, [names], how)
    scores = (-2.0, -3.0, -4.0)
    monkeypatch.setattr("kdsearch.distill.scoring.option_scores", lambda *_: {0: scores})
    given = choose(None, rows, [0])[0]
    assert (given.choice, given.text, given.scores) == (best, names[best], scores)


def test_a_long_option_is_as_likely_as_its_tokens(
    tiny_causal: Any, bigger: Any, tokenizer: Any
) -> None:
    """One that begins another is scored with its end, so that it does not win by being short."""
    model = tiny_causal(16).model.eval()
    example = Example("x", "1 or 11?", 1, choices=("1", "11"))
    rows = encode([example], bigger, None, tokenizer, PromptFormat(), causal=True)
    assert [ids[-1] for ids in rows.choices[0]] == [tokenizer.eos_token_id] * 2
    source = list(rows.sources[0])
    expected = [alone(model, source, list(ids)) for ids in rows.choices[0]]
    assert option_scores(model, rows, [0])[0] == pytest.approx(expected, abs=1e-4)


def test_a_question_without_options_cannot_be_scored(sums: Any, tokenizer: Any) -> None:
    asked = sums.load(None)[:2]
    how = Evaluation(scoring="options")
    with pytest.raises(DataError) as caught:
        encode(asked, sums, None, tokenizer, PromptFormat(), evaluation=how)
    assert str(caught.value) == (
        "domain sums: the prompt of '0+0' gives no options to score "
        "(set evaluation.scoring: generate)"
    )


def test_a_domain_may_ask_for_generation(bigger: Any, tokenizer: Any) -> None:
    spoken = type("Spoken", (type(bigger),), {"scoring": "generate"})()
    asked = bigger.load(None)[:2]
    rows = encode(asked, spoken, None, tokenizer, PromptFormat())
    scored = encode(
        asked, spoken, None, tokenizer, PromptFormat(), evaluation=Evaluation(scoring="options")
    )
    assert not rows.scored(0)
    assert scored.scored(0)
