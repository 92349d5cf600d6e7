"""How a student is asked by transformers alone: literal prompts, and code that answers them.

The code gives the answers of `evaluate.predict`, by the same token ids and the same scores.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.distill.data import Encoder, resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kdsearch.questions import Questions
    from kdsearch.spec.models import Evaluation, PromptFormat

LOOKED_AT = 1000
"""Examples among which one is sought of each way of answering."""


class Usage(NamedTuple):
    """One way in which a student answers, with an example prompt."""

    causal: bool
    text: str
    """The prompt, exactly as the tokenizer gets it; of a chat, with the template's own marks."""
    messages: Sequence[Mapping[str, str]]
    """The same as a chat; empty where prompts are plain."""
    options: Sequence[str]
    """What is scored; empty where the answer is generated."""
    length_normalization: str
    stop: Sequence[str]
    """Texts before which a generated answer ends."""


def usages_of(
    asked: Questions,
    tokenizer: Any,
    prompt_format: PromptFormat,
    evaluation: Evaluation,
    *,
    causal: bool,
) -> list[Usage]:
    """Return each way in which a student answers: by generation, by scoring options, or both.

    Args:
        asked: Gives the example prompts. Not of confirm: a card is read by anyone.
        tokenizer: The student's.
        prompt_format: Limits and chat template.
        evaluation: How answers are found.
        causal: Whether prompt and answer make one sequence.
    """
    how = resolved(evaluation, asked.domain)
    encoder = Encoder(asked.domain, asked.options, tokenizer, prompt_format, causal=causal)
    found: dict[bool, Usage] = {}
    for example in islice(asked.examples, LOOKED_AT):
        _, prompt = encoder.source(example)
        scored = how.scoring != "generate" and bool(prompt.choices)
        if scored not in found:
            found[scored] = Usage(
                causal,
                encoder.text(prompt),
                encoder.messages(prompt) if encoder.chat else (),
                prompt.choices if scored else (),
                how.length_normalization,
                asked.domain.stop,
            )
        if len(found) == 2 or how.scoring != "auto":
            break
    return list(found.values())


def usage_text(usages: Sequence[Usage]) -> str:
    """Return prompts and code as Markdown."""
    return "\n\n".join(
        f"{_introduction(usage)}\n\n{_fenced('text', usage.text)}\n\n"
        f"{_fenced('python', snippet(usage))}"
        for usage in usages
    )


def snippet(usage: Usage) -> str:
    """Return code that prints the answer to the example prompt, run in the student's folder."""
    return "\n".join((_scoring if usage.options else _generating)(usage))


def _introduction(usage: Usage) -> str:
    prompt = "A chat prompt, as the template writes it" if usage.messages else "A prompt"
    if usage.options:
        return f"{prompt}, whose answer is the likeliest of its options:"
    ended = f", up to the first of {list(usage.stop)}" if usage.stop else ""
    return f"{prompt}, whose answer is generated greedily{ended}:"


def _fenced(language: str, text: str) -> str:
    """Return a code block; its fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _loading(usage: Usage) -> Iterator[str]:
    model = "AutoModelForCausalLM" if usage.causal else "AutoModelForSeq2SeqLM"
    yield f"from transformers import {model}, AutoTokenizer"
    yield ""
    yield 'FOLDER = "."  # where this card lies'
    yield "tokenizer = AutoTokenizer.from_pretrained(FOLDER)"
    yield f'model = {model}.from_pretrained(FOLDER, dtype="float32")'
    yield ""
    yield ""


def _reading(usage: Usage) -> Iterator[str]:
    if not usage.messages:
        yield '    inputs = tokenizer(prompt, return_tensors="pt")'
        return
    yield "    inputs = tokenizer.apply_chat_template("
    yield '        prompt, add_generation_prompt=True, return_dict=True, return_tensors="pt"'
    yield "    )"


def _generating(usage: Usage) -> Iterator[str]:
    yield from _loading(usage)
    yield "def answer(prompt):"
    yield from _reading(usage)
    yield "    made = model.generate(**inputs)[0]"
    if usage.causal:
        yield '    made = made[inputs["input_ids"].shape[1] :]'
    yield "    text = tokenizer.decode(made, skip_special_tokens=True)"
    if usage.stop:
        yield f"    ends = [text.find(stop) for stop in {list(usage.stop)!r} if stop in text]"
        yield "    text = text[: min(ends, default=len(text))]"
    yield "    return text.strip()"
    yield ""
    yield ""
    yield f"print(answer({_literal(usage)}))"


def _scoring(usage: Usage) -> Iterator[str]:
    spaced = '" " + option' if usage.causal and not usage.messages else "option"
    yield "import torch"
    yield from _loading(usage)
    yield "@torch.inference_mode()"
    yield "def score(inputs, ids):"
    if usage.causal:
        yield '    read = torch.cat([inputs["input_ids"], torch.tensor([ids])], dim=1)'
        yield "    logits = model(read).logits[0, -len(ids) - 1 : -1]"
    else:
        yield "    logits = model(**inputs, labels=torch.tensor([ids])).logits[0]"
    yield "    return logits.float().log_softmax(-1)[range(len(ids)), ids].sum().item()"
    yield ""
    yield ""
    yield "def answer(prompt, options):"
    yield from _reading(usage)
    yield f"    texts = [{spaced} for option in options]"
    yield '    tokens = tokenizer(texts, add_special_tokens=False)["input_ids"]'
    yield "    if any(a is not b and b[: len(a)] == a for a in tokens for b in tokens):"
    yield "        tokens = [[*ids, tokenizer.eos_token_id] for ids in tokens]"
    yield "    scores = [score(inputs, ids) for ids in tokens]"
    match usage.length_normalization:
        case "tokens":
            yield "    scores = [each / len(ids) for each, ids in zip(scores, tokens)]"
        case "bytes":
            yield "    scores = [each / len(o.encode()) for each, o in zip(scores, options)]"
    yield "    return options[scores.index(max(scores))]"
    yield ""
    yield ""
    yield f"print(answer({_literal(usage)}, {list(usage.options)!r}))"


def _literal(usage: Usage) -> str:
    return repr([dict(message) for message in usage.messages] or usage.text)
