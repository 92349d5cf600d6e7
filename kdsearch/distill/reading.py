"""Whether the models of a search can read its questions, found out before anything is written.

Needs their tokenizers alone; no model is built, and torch is not imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.assistants import source_folder
from kdsearch.distill.data import encode
from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.tokenizing import light_tokenizer
from kdsearch.model_folders import model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin import Example, Size
    from kdsearch.spec.models import SearchSpec
    from kdsearch.spec.parts import Parts
    from kdsearch.splits import Assigned

ENCODER_DECODERS = ("t5",)
"""Families whose models read a prompt by itself; the others read prompt and answer as one."""


def check_prompts(
    spec: SearchSpec,
    parts: Parts,
    teachers: Mapping[int, ModelFacts],
    sizes: Iterable[Size],
    assigned: Assigned,
    earlier: Sequence[tuple[Parts, Sequence[Example]]] = (),
    load: Callable[[Path], Any] = load_tokenizer,
) -> None:
    """Read every question as the teachers and the students would read it.

    Args:
        spec: The search.
        parts: Its plugins.
        teachers: The measures of those that teach, by place.
        sizes: Of the students; those with tokens of their own are models that exist.
        assigned: The splits.
        earlier: The plugins of each stage before the last, and what it trains on.
        load: Loads a tokenizer that only transformers reads.

    Raises:
        DataError: If a prompt is too long, or two options are the same to a model.
        SpecError: If chat is asked for and a tokenizer has no template.
        ModelError: If a folder holds no tokenizer.
    """
    family = getattr(parts.ladder_config, "family", teachers[0].family)
    readers = {(source_folder(spec.stage.teachers[0]), _causal(family))}
    for place, facts in teachers.items():
        source = spec.stage.teachers[place]
        if source.predictions is None:
            readers.add((source_folder(source), _causal(facts.family)))
    for size in sizes:
        if size.other_tokens and size.config is not None and "model" in size.recipe:
            stored = model_folder(size.recipe["model"])
            readers.add((stored, _causal(size.config["model_type"])))
    for folder, causal in sorted(readers, key=str):
        own = folder or _domain_folder(parts)
        tokenizer: Any = light_tokenizer(own)
        if tokenizer is None and own is not None:
            tokenizer = load(own)
        _read(spec, parts, tokenizer, assigned, causal=causal)
        for others, train in earlier:
            _read(spec, others, tokenizer, [train], causal=causal)


def _domain_folder(parts: Parts) -> Path | None:
    """Return where the domain keeps its own tokenizer; None stands for that of single bytes."""
    own = getattr(parts.domain, "tokenizer", None)
    return Path(own(parts.options)) if own else None


def _causal(family: str) -> bool:
    return family not in ENCODER_DECODERS


def _read(
    spec: SearchSpec,
    parts: Parts,
    tokenizer: Any,
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
