"""Examples as token ids: formatting, length limits and padded batches.

A row's key is a hash of its token ids, so that whatever changes the tokens changes the key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import datasets
import torch
from torch import Tensor

from kdsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedTokenizerBase

    from kdsearch.distill.signals import SignalStore
    from kdsearch.plugin import Domain, Example, Prompt
    from kdsearch.spec.models import PromptFormat

IGNORED = -100
"""The label of positions that are no target, as in torch's cross-entropy."""


@dataclass(frozen=True)
class Rows:
    """Examples as a model reads them."""

    examples: Sequence[Example]
    sources: Sequence[Sequence[int]]
    """The prompt's token ids by example, ending with end-of-sequence."""
    targets: Sequence[Sequence[int]]
    """The answer's token ids by example, ending with end-of-sequence."""
    choices: Sequence[Sequence[Sequence[int]]]
    """By example and choice: the token ids to score; empty where the answer is free."""
    cut: int
    """How many questions were shortened to fit."""

    @property
    def tokens(self) -> int:
        """Source and target tokens of all rows."""
        return sum(map(len, self.sources)) + sum(map(len, self.targets))

    def keys(self) -> list[bytes]:
        """Return the key of every row, for what is stored of it."""
        return [row_key(*pair) for pair in zip(self.sources, self.targets, strict=True)]

    def table(self, **columns: Sequence[Any]) -> datasets.Dataset:
        """Return the rows as a table of `input_ids`, `labels` and further columns."""
        return datasets.Dataset.from_dict(
            {"input_ids": self.sources, "labels": self.targets, **columns}
        )


def row_key(source: Sequence[int], target: Sequence[int]) -> bytes:
    """Hash the token ids of a row to 16 bytes."""
    text = f"{list(source)}|{list(target)}".encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def encode(
    examples: Sequence[Example],
    domain: Domain,
    options: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompt_format: PromptFormat,
) -> Rows:
    """Format and tokenise examples.

    Raises:
        DataError: If a prompt is longer than `prompt.max_tokens` and may not or cannot be cut.
    """
    encoder = _Encoder(domain, options, tokenizer, prompt_format)
    sources, targets, choices = [], [], []
    for example in examples:
        source, prompt = encoder.source(example)
        sources.append(source)
        targets.append(encoder.ids(prompt.target))
        choices.append([encoder.ids(choice) for choice in prompt.choices])
    return Rows(examples, sources, targets, choices, encoder.cut)


class _Encoder:
    """Turns texts into token ids and keeps prompts within their limit."""

    def __init__(
        self, domain: Domain, options: Any, tokenizer: Any, prompt_format: PromptFormat
    ) -> None:
        self.domain = domain
        self.options = options
        self.tokenizer = tokenizer
        self.format = prompt_format
        self.cut = 0

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text with end-of-sequence."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]

    def source(self, example: Example) -> tuple[list[int], Prompt]:
        """Return the source ids of an example, its question cut if it must and may be."""
        prompt = self.domain.format(example, self.options)
        ids = self.ids(prompt_text(prompt))
        if len(ids) <= self.format.max_tokens:
            return ids, prompt
        if self.format.truncate == "question":
            fitting = self._shortened(example)
            if fitting is not None:
                self.cut += 1
                return fitting
        raise DataError(
            f"the prompt of '{example.id}' has {len(ids)} tokens; "
            f"prompt.max_tokens is {self.format.max_tokens}",
            where=f"domain {self.domain.name}",
            fix="raise prompt.max_tokens"
            + ("" if self.format.truncate == "question" else " or set prompt.truncate: question"),
        )

    def _shortened(self, example: Example) -> tuple[list[int], Prompt] | None:
        """Find by bisection the most words of the question that fit, or None."""
        words = example.question.split(" ")
        low, high, best = 0, len(words) - 1, None
        while low <= high:
            middle = (low + high) // 2
            shorter = replace(example, question=" ".join(words[:middle]))
            prompt = self.domain.format(shorter, self.options)
            ids = self.ids(prompt_text(prompt))
            if len(ids) <= self.format.max_tokens:
                best, low = (ids, prompt), middle + 1
            else:
                high = middle - 1
        return best


def prompt_text(prompt: Prompt) -> str:
    """Return a prompt as plain text; messages are joined by newlines."""
    if prompt.text is not None:
        return prompt.text
    return "\n".join(message["content"] for message in prompt.messages or ())


def by_length(rows: Rows) -> list[int]:
    """Return the row numbers, longest source first, so that batches waste little padding."""
    return sorted(range(len(rows.sources)), key=lambda row: -len(rows.sources[row]))


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Stack rows of ids to (rows, longest), padded on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


@dataclass(frozen=True)
class Collator:
    """Pads rows to a batch and adds the teacher's signals of these rows.

    Masks are made from lengths and labels, never by comparing ids with the padding id: T5 starts
    its targets with that very id.
    """

    padding: int
    signals: SignalStore | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return `input_ids`, `attention_mask`, `labels` and, by signal, `signals`.

        With signals, each row names its place in the store as `signal_row`.
        """
        sources = [row["input_ids"] for row in rows]
        batch: dict[str, Any] = {
            "input_ids": pad(sources, self.padding),
            "attention_mask": pad([[1] * len(source) for source in sources], 0),
            "labels": pad([row["labels"] for row in rows], IGNORED),
        }
        if self.signals is not None:
            batch["signals"] = self.signals.gather([row["signal_row"] for row in rows])
        return batch
