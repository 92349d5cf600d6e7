"""Exports a student as a model folder that answers by transformers alone as it was scored.

Its tokenizer reads prompts as training did, its generation config answers as confirm did, and its
card says what is known of it and how it is asked.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from tokenizers import processors

from kdsearch.distill.card import Card, licence_of, model_card, settings_of
from kdsearch.distill.generation import greedy_config
from kdsearch.distill.loading import load_config, load_generation_config, load_tokenizer
from kdsearch.distill.usage import usages_of
from kdsearch.spec.record import record_of, write_record
from kdsearch.storage import Folder
from kdsearch.storage.sums import write_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from kdsearch.questions import Questions
    from kdsearch.spec.models import SearchSpec

PROBES = ("a", "1 + 2", "Is it? Yes.")
"""Texts by which a tokenizer shows whether it ends prompts."""

FROM_LOADING = ("is_local", "local_files_only")
"""What transformers keeps of how a tokenizer was loaded, and would store with it."""


def export_student(
    run: Folder,
    trained: Path,
    destination: Path,
    size: Mapping[str, Any],
    summary: Mapping[str, Any],
    spec: SearchSpec,
    teacher: Path,
    asked: Questions,
) -> None:
    """Copy a trained student, and write what its use needs without kdsearch.

    Args:
        run: The run directory.
        trained: The trial's `save_pretrained` folder.
        destination: Written anew.
        size: The size's entry of the summary.
        summary: The run's summary.
        spec: The run's.
        teacher: Its folder.
        asked: What it was trained on; the card shows one prompt of it.
    """
    with run.fill(destination) as draft:
        shutil.copytree(trained, draft, dirs_exist_ok=True)
        config, tokenizer = load_config(draft), load_tokenizer(draft)
        causal = not config.is_encoder_decoder
        own = load_generation_config(draft)
        greedy_config(config, own, tokenizer, asked.domain).save_pretrained(draft)
        prepare_tokenizer(tokenizer, causal=causal)
        tokenizer.save_pretrained(draft)
        usages = usages_of(asked, tokenizer, spec.prompt, spec.evaluation, causal=causal)
        card = Card(spec, size, summary, settings_of(trained.parent), licence_of(teacher), usages)
        Folder(draft).write("README.md", model_card(card))
        write_record(draft, record_of(spec, size["size"]))
        write_sums(draft)


def prepare_tokenizer(tokenizer: PreTrainedTokenizerBase, *, causal: bool) -> None:
    """Let a tokenizer make of a prompt what the model was trained to read.

    An encoder-decoder's prompt ends with end-of-sequence. A causal model goes on from the end of
    its prompt, so that batches are padded on the left.

    Args:
        tokenizer: Changed in place, to be stored.
        causal: Whether prompt and answer make one sequence.
    """
    for key in FROM_LOADING:
        tokenizer.init_kwargs.pop(key, None)
    if causal:
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"
    elif not all(_ended(tokenizer, text) for text in PROBES):
        end = str(tokenizer.eos_token)
        backend: Any = tokenizer
        backend.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=["$A", end],
            pair=["$A", "$B", end],
            special_tokens=[(end, tokenizer.eos_token_id)],
        )


def _ended(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    """Whether a tokenizer adds the end of sequence to a text, and nothing else."""
    bare: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return bool(tokenizer(text)["input_ids"] == [*bare, tokenizer.eos_token_id])
