"""Whether the models of a search can read its questions, found out before anything is written.

Needs their tokenizers alone; no model is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.assistants import source_folder
from kdsearch.distill.data import encode
from kdsearch.distill.students import domain_tokenizer, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from transformers import PreTrainedTokenizerBase

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin import Example
    from kdsearch.spec.models import SearchSpec
    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned

ENCODER_DECODERS = ("t5",)
"""Families whose models read a prompt by itself; the others read prompt and answer as one."""


def check_prompts(
    spec: SearchSpec,
    parts: Parts,
    teacher: ModelFacts,
    assigned: Assigned,
    earlier: Sequence[tuple[Parts, Sequence[Example]]] = (),
) -> None:
    """Read every question as the teacher, and students of another family, would read it.

    Args:
        spec: The search.
        parts: Its plugins.
        teacher: The first teacher's measures.
        assigned: The splits.
        earlier: The plugins of each stage before the last, and what it trains on.

    Raises:
        DataError: If a prompt is too long, or two options are the same to a model.
        SpecError: If chat is asked for and the tokenizer has no template.
        ModelError: If the teacher's folder holds no tokenizer.
    """
    source = spec.stage.teachers[0]
    folder = source_folder(source)
    if folder is not None:
        tokenizer = load_tokenizer(folder)
    else:
        tokenizer = domain_tokenizer(parts.domain, parts.options)
    family = getattr(parts.ladder_config, "family", teacher.family)
    families = {family} if source.predictions is not None else {family, teacher.family}
    for causal in {each not in ENCODER_DECODERS for each in families}:
        _read(spec, parts, tokenizer, assigned, causal=causal)
        for own, train in earlier:
            _read(spec, own, tokenizer, [train], causal=causal)


def _read(
    spec: SearchSpec,
    parts: Parts,
    tokenizer: PreTrainedTokenizerBase,
    splits: Iterable[Sequence[Example]],
    *,
    causal: bool,
) -> None:
    for examples in splits:
        encode(
            examples,
            parts.domain,
            parts.options,
            tokenizer,
            spec.prompt,
            causal=causal,
            evaluation=spec.evaluation,
        )
