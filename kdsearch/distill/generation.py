"""Free answers: greedy generation in batches, ended by the domain's stops."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria

from kdsearch.distill.passes import batches, pad
from kdsearch.distill.phases import unheard
from kdsearch.plugin import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from transformers import PreTrainedConfig

    from kdsearch.distill.data import Rows
    from kdsearch.distill.phases import Progress
    from kdsearch.plugin import Domain


def generate(
    model: Any,
    tokenizer: Any,
    rows: Rows,
    asked: Sequence[int],
    domain: Domain,
    progress: Progress = unheard,
) -> dict[int, Prediction]:
    """Answer rows by greedy generation.

    Where a row has options, the answer counts as the one that it names; see `named_option`.

    Args:
        model: In evaluation mode.
        tokenizer: The model's.
        rows: What is asked.
        asked: Which rows.
        domain: Says how long answers are and where they end.
        progress: Told at every token.
    """
    found: dict[int, Prediction] = {}
    if not asked:
        return found
    with _greedy(model, tokenizer, domain):
        for taken in batches(asked, lambda row: len(rows.sources[row]) + domain.max_new_tokens):
            sources = [rows.sources[row] for row in taken]
            alive = _Alive(lambda: progress(len(found), len(asked)))
            texts = _continued(model, tokenizer, sources, domain.stop, alive)
            for row, text in zip(taken, texts, strict=True):
                example, names = rows.examples[row], rows.names[row] if rows.names else ()
                answer = before_stops(text, domain.stop).strip()
                choice = named_option(answer, names, example.choices) if names else None
                found[row] = Prediction(example.id, answer, choice)
            progress(len(found), len(asked))
    return found


def before_stops(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first of the stops in it."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def named_option(text: str, names: Sequence[str], choices: Sequence[str]) -> int | None:
    """Return which option a text names, None if it names none.

    It is an option if, without case and outer punctuation, it is the option's name or wording, or
    if it opens with the name and a mark, as `B. Paris` does. `A city` opens with a word, not with
    the name of an option.
    """
    said = _bare(text)
    for known in (names, choices):
        same = [place for place, option in enumerate(known) if _bare(option) == said]
        if len(same) == 1:
            return same[0]
    opening = re.match(r"\W*(.*?)\s*[.:,;)\]\n]", text)
    words = _bare(opening[1]) if opening else None
    same = [place for place, name in enumerate(names) if _bare(name) == words]
    return same[0] if len(same) == 1 else None


def _bare(text: str) -> str:
    """Return a text without case and what stands around its words."""
    return re.sub(r"^\W+|\W+$", "", text.strip()).casefold() or text.strip()


class _Stops(StoppingCriteria):
    """Ends a row whose answer holds a stop.

    A stop of n bytes lies in the last n tokens once its last one is there.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int) -> None:
        self.tokenizer = tokenizer
        self.stops = stops
        self.start = start
        self.window = max(len(stop.encode()) for stop in stops)

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        tails = input_ids[:, max(self.start, input_ids.shape[1] - self.window) :]
        texts = self.tokenizer.batch_decode(tails, skip_special_tokens=True)
        done = [any(stop in text for stop in self.stops) for text in texts]
        return torch.tensor(done, device=input_ids.device)


class _Alive(StoppingCriteria):
    """Ends nothing; tells at every token that generation goes on."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        self.tell()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def _continued(
    model: Any,
    tokenizer: Any,
    sources: Sequence[Sequence[int]],
    stops: Sequence[str],
    alive: _Alive,
) -> list[str]:
    """Return what follows each prompt; causal ones are padded on the left, so that all end."""
    causal = not model.config.is_encoder_decoder
    if causal:
        sources = [source[::-1] for source in sources]
    ids, mask = pad(sources, tokenizer.pad_token_id), pad([[1] * len(s) for s in sources], 0)
    if causal:
        ids, mask = ids.flip(1), mask.flip(1)
    start = ids.shape[1] if causal else 1  # a decoder's own start token comes first
    generated = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        stopping_criteria=[alive, *([_Stops(tokenizer, stops, start)] if stops else [])],
    )
    texts: list[str] = tokenizer.batch_decode(generated[:, start:], skip_special_tokens=True)
    return texts


def greedy_config(
    model: PreTrainedConfig, own: GenerationConfig, tokenizer: Any, domain: Domain
) -> GenerationConfig:
    """Return how a model generates greedily, whatever sampling or penalties its folder asks for.

    Args:
        model: The model's configuration.
        own: How its folder says that it generates; its ends of sequence are kept.
        tokenizer: The model's.
        domain: Says how long answers are.
    """
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=domain.max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted({tokenizer.eos_token_id, *ends} - {None}),
        decoder_start_token_id=getattr(model, "decoder_start_token_id", None),
    )


@contextmanager
def _greedy(model: Any, tokenizer: Any, domain: Domain) -> Iterator[None]:
    """Let a model generate greedily for a while."""
    own = model.generation_config
    model.generation_config = greedy_config(model.config, own, tokenizer, domain)
    try:
        yield
    finally:
        model.generation_config = own
