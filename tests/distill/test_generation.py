"""Free answers: what a model says of one prompt alone, whatever the batch, up to the stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsearch.distill import passes
from kdsearch.distill.data import Rows, encode
from kdsearch.distill.generation import before_stops, generate, named_option
from kdsearch.plugin import Example
from kdsearch.spec.models import Evaluation, PromptFormat


def alone(model: Any, source: list[int], count: int, end: int) -> list[int]:
    """Generate greedily from one prompt without padding, mask or cache."""
    said: list[int] = []
    with torch.inference_mode():
        while len(said) < count and end not in said:
            if model.config.is_encoder_decoder:
                begun = torch.tensor([[model.config.decoder_start_token_id, *said]])
                logits = model(torch.tensor([source]), decoder_input_ids=begun).logits
            else:
                logits = model(torch.tensor([[*source, *said]])).logits
            said.append(int(logits[0, -1].argmax()))
    return said


@settings(max_examples=12)
@given(
    questions=st.lists(st.text("0123456789+ ", min_size=1, max_size=12), min_size=2, max_size=6),
    largest=st.integers(1, 6),
    causal=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_batch_says_what_each_prompt_alone_does(
    questions: list[str],
    largest: int,
    causal: bool,
    seed: int,
    tiny: Any,
    tiny_causal: Any,
    sums: Any,
    tokenizer: Any,
) -> None:
    model = (tiny_causal(16, seed, tied=False) if causal else tiny(16, seed)).model.eval()
    for weights in model.parameters():
        if causal and weights.dim() > 1:  # every token that is attended to sways the answer
            weights.data *= 15.0
    examples = [Example(str(place), text, "1") for place, text in enumerate(questions)]
    rows = encode(examples, sums, None, tokenizer, PromptFormat(), causal=causal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "LARGEST_BATCH", largest)
        told: list[tuple[int, int]] = []
        asked = range(len(rows.sources))
        found = generate(model, tokenizer, rows, asked, sums, lambda *each: told.append(each))
    assert told == sorted(told)
    assert told[-1] == (len(rows.sources), len(rows.sources))
    assert len(told) > len(set(told))  # at every token, not only after a batch
    for row, source in enumerate(rows.sources):
        ids = alone(model, list(source), sums.max_new_tokens, tokenizer.eos_token_id)
        assert found[row].text == tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("causal", [True, False])
def test_generation_ends_once_every_row_has_stopped(
    causal: bool, tiny: Any, tiny_causal: Any, sums: Any, tokenizer: Any
) -> None:
    model = (tiny_causal if causal else tiny)(16).model.eval()
    domain = type("Long", (type(sums),), {"max_new_tokens": 40})()
    rows = encode(sums.load(None)[:3], sums, None, tokenizer, PromptFormat(), causal=causal)
    whole = generate(model, tokenizer, rows, range(3), domain)
    shortest = min(len(given.text) for given in whole.values())
    assert shortest > 8
    stops = tuple(whole[row].text[3:5] for row in range(3))
    domain.stop = stops
    calls: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda *_: calls.append(1))
    stopped = generate(model, tokenizer, rows, range(3), domain)
    hook.remove()
    assert len(calls) < 40
    for row in range(3):
        assert stopped[row].text == before_stops(whole[row].text, stops).strip()


def test_sampling_and_penalties_of_a_folder_are_left_out(
    tiny: Any, rows: Rows, sums: Any, tokenizer: Any
) -> None:
    model = tiny(16).model.eval()
    usual = generate(model, tokenizer, rows, range(20), sums)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=9.0)
    own = model.generation_config
    assert generate(model, tokenizer, rows, range(20), sums) == usual
    assert model.generation_config is own


def test_a_generated_answer_names_an_option(tiny: Any, bigger: Any, tokenizer: Any) -> None:
    rows = encode(
        bigger.load(None)[:4],
        bigger,
        None,
        tokenizer,
        PromptFormat(),
        evaluation=Evaluation(scoring="generate"),
    )
    assert not rows.scored(0)
    first = rows.examples[0].choices[1]
    model = tiny(16).model.eval()
    model.generate = lambda **_: torch.tensor([[0, *tokenizer(f"{first}.")["input_ids"]]] * 4)
    assert generate(model, tokenizer, rows, range(4), bigger)[0].choice == 1


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("B. Paris", 1),
        ("B) Rome", 1),
        ("B\nbecause", 1),
        ("Paris", 0),
        ("paris.", 0),
        ("A city", None),
        ("B or A", None),
        ("", None),
        ("C", None),
    ],
)
def test_an_option_is_named_by_letter_or_wording(text: str, option: int | None) -> None:
    assert named_option(text, ("A", "B"), ("Paris", "Rome")) == option


def test_options_of_marks_alone_are_told_apart() -> None:
    assert named_option("-", ("+", "-"), ()) == 1


def test_the_first_of_several_stops_ends_an_answer() -> None:
    assert before_stops("one\ntwo. three", (".", "\n")) == "one"
    assert before_stops("one", ()) == "one"
