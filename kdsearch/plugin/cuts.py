"""The ladders of students cut from the teacher: sizes with exact counts, without torch.

`kdsearch.distill.prune` builds them from a recipe: the `changes` of the teacher's configuration,
the `layers` kept (None: the most important ones), whether parts go `by_importance` and whether the
vocabulary is `trimmed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from kdsearch.errors import SpecError
from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin.api import Options, Size, Student
from kdsearch.plugin.file_names import FileName
from kdsearch.plugin.ladders import resolve
from kdsearch.plugin.preparing import Prepared
from kdsearch.plugin.vocabulary import trim

if TYPE_CHECKING:
    from kdsearch.plugin.preparing import Preparation

Vocabulary = Literal["whole", "domain"]

Measure = (
    Annotated[int, Field(strict=True, gt=0)] | Annotated[float, Field(strict=True, gt=0.0, le=1.0)]
)
"""How many, or with a decimal point a share of the teacher's."""

ROUND = 8
"""Shares of a width are rounded to multiples of it, as matrix kernels like."""


class DepthConfig(Options):
    """Students that keep some of the teacher's own layers."""

    layers: tuple[int | tuple[int, ...], ...] = Field(min_length=1)
    """Of each student: how many layers, spread evenly with the first and the last kept, or which
    ones, counted from 0."""
    vocabulary: Vocabulary = "whole"
    """`domain` keeps the tokens of the training data, and what any other text needs."""
    freeze_embeddings: bool = False
    """Leave the embeddings as the teacher has them."""

    @property
    def reads_texts(self) -> bool:
        """Whether the sizes hang on the training texts."""
        return self.vocabulary == "domain"


@dataclass(frozen=True)
class DepthLadder:
    """Students cut from the teacher: whole layers go, everything else stays (Sanh et al. 2019)."""

    name: str = "depth"
    Config: type[BaseModel] = DepthConfig
    needs_model: bool = True

    def sizes(
        self, config: Any, teacher: ModelFacts, texts: Sequence[str] | None = None
    ) -> list[Size]:
        """Count each choice of layers by the family's formula.

        Raises:
            SpecError: If layers are out of the teacher's range or repeated.
            ModelError: If the vocabulary cannot be trimmed.
        """
        trimmed = _trimmed(teacher, texts)
        listed = []
        for asked in config.layers:
            kept = kept_layers(asked, teacher.layers)
            name = f"{len(kept)}L" if isinstance(asked, int) else "L" + ".".join(map(str, kept))
            recipe = {"layers": list(kept), "by_importance": False}
            listed.append(_size(name, teacher, {**_deep(teacher, len(kept)), **trimmed}, recipe))
        repeated = [name for name, count in Counter(s.name for s in listed).items() if count > 1]
        if repeated:
            raise SpecError(f"listed twice: {', '.join(repeated)}", where="ladder.layers")
        return listed

    def prepare(self, config: Any, teacher: ModelFacts, given: Preparation) -> Prepared:
        """Trim the tokenizer if the vocabulary is the domain's."""
        return Prepared(0, _trim(config, teacher, given))

    def build(
        self,
        size: Size,
        config: Any,
        teacher: ModelFacts,
        seed: int,
        *,
        prepared: Path | None = None,
    ) -> Student:
        """Copy the kept layers of the teacher into a model of their own."""
        student: Student = resolve("kdsearch.distill.prune:build_cut")(size, teacher, prepared)
        if config.freeze_embeddings:
            student.model.get_input_embeddings().weight.requires_grad_(False)
        return student


class PruneSize(Options):
    """What one student keeps of its teacher: a number, or with a decimal point a share.

    What is left out stays as the teacher has it.
    """

    layers: Measure | None = None
    d_model: Measure | None = None
    """The hidden width."""
    d_ff: Measure | None = None
    """The feed-forward width."""
    heads: Measure | None = None
    """Attention heads; where several share a key, whole groups of them."""


class PruneConfig(Options):
    """Students that keep the most important parts of the teacher."""

    sizes: Mapping[FileName, PruneSize] = Field(min_length=1)
    """What each size keeps, by the size's name."""
    keep_layers: Literal["even", "important"] = "even"
    """Layers spread evenly with the first and the last kept, or those that change states most."""
    vocabulary: Vocabulary = "whole"
    """`domain` keeps the tokens of the training data, and what any other text needs."""

    @property
    def reads_texts(self) -> bool:
        """Whether the sizes hang on the training texts."""
        return self.vocabulary == "domain"


@dataclass(frozen=True)
class PruneLadder:
    """Students cut from the teacher along every axis, by importance (Muralidharan et al. 2024)."""

    name: str = "prune"
    Config: type[BaseModel] = PruneConfig
    needs_model: bool = True

    def sizes(
        self, config: Any, teacher: ModelFacts, texts: Sequence[str] | None = None
    ) -> list[Size]:
        """Count each size by the family's formula.

        Raises:
            SpecError: If a measure does not fit the teacher.
            ModelError: If the vocabulary cannot be trimmed.
        """
        trimmed = _trimmed(teacher, texts)
        listed = []
        for name, asked in config.sizes.items():
            changes = pruned_measures(asked, teacher, f"ladder.sizes.{name}")
            depth = changes["num_layers" if teacher.encoder_decoder else "num_hidden_layers"]
            even = config.keep_layers == "even" or depth == teacher.layers
            layers = list(kept_layers(depth, teacher.layers)) if even else None
            recipe = {"layers": layers, "by_importance": True}
            listed.append(_size(name, teacher, {**changes, **trimmed}, recipe))
        return listed

    def prepare(self, config: Any, teacher: ModelFacts, given: Preparation) -> Prepared:
        """Measure the importance of the teacher's parts; trim the tokenizer if asked."""
        tokens: int = resolve("kdsearch.distill.importance:prepare")(given)
        return Prepared(tokens, _trim(config, teacher, given))

    def build(
        self,
        size: Size,
        config: Any,
        teacher: ModelFacts,
        seed: int,
        *,
        prepared: Path | None = None,
    ) -> Student:
        """Copy the most important parts of the teacher into a model of their own."""
        student: Student = resolve("kdsearch.distill.prune:build_cut")(size, teacher, prepared)
        return student


def kept_layers(asked: int | tuple[int, ...], layers: int) -> tuple[int, ...]:
    """Return which of a teacher's layers a student keeps.

    Args:
        asked: A count, spread evenly with the first and the last kept (one alone is the first), or
            the layers themselves.
        layers: How many the teacher has.

    Raises:
        SpecError: If there are not so many, or a layer is repeated or out of range.
    """
    where = "ladder.layers"
    if isinstance(asked, int):
        if not 1 <= asked <= layers:
            raise SpecError(f"{asked} layers asked of a teacher with {layers}", where=where)
        return tuple(round(at * (layers - 1) / max(1, asked - 1)) for at in range(asked))
    if not asked or any(not 0 <= layer < layers for layer in asked):
        raise SpecError(f"{list(asked)}: allowed are layers 0 to {layers - 1}", where=where)
    if list(asked) != sorted(set(asked)):
        raise SpecError(f"{list(asked)}: name each layer once, in order", where=where)
    return asked


def pruned_measures(asked: PruneSize, teacher: ModelFacts, where: str) -> dict[str, Any]:
    """Return what changes in the teacher's configuration, every measure of the size named.

    Args:
        asked: What the size keeps.
        teacher: A T5 or Llama-type model.
        where: The size's place in the spec.

    Raises:
        SpecError: If a measure is above the teacher's, or heads would leave their groups.
    """
    config = teacher.config
    if teacher.encoder_decoder:
        heads = _measure(asked.heads, config["num_heads"], f"{where}.heads")
        return {
            **_deep(teacher, _measure(asked.layers, teacher.layers, f"{where}.layers")),
            "d_model": _measure(asked.d_model, config["d_model"], f"{where}.d_model", share=ROUND),
            "d_ff": _measure(asked.d_ff, config["d_ff"], f"{where}.d_ff", share=ROUND),
            "num_heads": heads,
        }
    whole = config["num_attention_heads"]
    group = whole // (config.get("num_key_value_heads") or whole)
    heads = _measure(asked.heads, whole, f"{where}.heads", step=group)
    return {
        **_deep(teacher, _measure(asked.layers, teacher.layers, f"{where}.layers")),
        # transformers refuses a hidden size that is no multiple of the heads.
        "hidden_size": _measure(
            asked.d_model, config["hidden_size"], f"{where}.d_model", step=heads
        ),
        "intermediate_size": _measure(
            asked.d_ff, config["intermediate_size"], f"{where}.d_ff", share=ROUND
        ),
        "num_attention_heads": heads,
        "num_key_value_heads": heads // group,
        "head_dim": config.get("head_dim") or config["hidden_size"] // whole,
    }


def _measure(asked: float | None, whole: int, where: str, *, step: int = 1, share: int = 1) -> int:
    """Return a measure as a number.

    Args:
        asked: A number, a share of the whole, or None for the whole.
        whole: The teacher's.
        where: The measure's place in the spec.
        step: What it must be a multiple of.
        share: What a share is rounded to, if the whole is at least that.
    """
    if isinstance(asked, float):
        step = max(step, share if whole >= share else 1)
        return min(whole, max(step, round(asked * whole / step) * step))
    number = whole if asked is None else asked
    if number > whole or number % step:
        allowed = f"1 to {whole}" if step == 1 else f"multiples of {step} up to {whole}"
        raise SpecError(f"{number} does not fit the teacher: allowed are {allowed}", where=where)
    return number


def _deep(teacher: ModelFacts, layers: int) -> dict[str, Any]:
    """Return the change of configuration to another number of layers in each stack.

    Raises:
        SpecError: If an encoder-decoder's stacks differ in depth.
    """
    if not teacher.encoder_decoder:
        return {"num_hidden_layers": layers}
    if (teacher.config.get("num_decoder_layers") or teacher.layers) != teacher.layers:
        raise SpecError(
            "the teacher's encoder and decoder differ in depth", where="ladder", fix="use scratch"
        )
    return {"num_layers": layers, "num_decoder_layers": layers}


def _size(
    name: str, teacher: ModelFacts, changes: Mapping[str, Any], recipe: Mapping[str, Any]
) -> Size:
    config = {**teacher.config, **changes}
    facts = facts_of_config(config, head_tied=teacher.head_tied)
    return Size(
        name,
        facts.parameters,
        facts.embedding_parameters,
        {"changes": dict(changes), "trimmed": "vocab_size" in changes, **recipe},
        teacher.head_tied,
        facts.layers,
        config=config,
    )


def _trimmed(teacher: ModelFacts, texts: Sequence[str] | None) -> dict[str, Any]:
    """Return the change of vocabulary that training texts lead to, none without them.

    Raises:
        SpecError: If the teacher is made from scratch: its tokenizer is not stored yet.
    """
    if texts is None:
        return {}
    if teacher.path is None:
        raise SpecError(
            "domain trims a stored teacher's tokenizer, and this one is made from scratch",
            where="ladder.vocabulary",
            fix="use vocabulary: whole",
        )
    return {"vocab_size": len(trim(Path(teacher.path), texts).teacher_ids)}


def _trim(config: Any, teacher: ModelFacts, given: Preparation) -> tuple[int, ...] | None:
    """Write the trimmed tokenizer, if there is to be one, and return the teacher's ids."""
    if not config.reads_texts:
        return None
    folder = Path(str(teacher.path))
    trimmed = trim(folder, given.texts)
    trimmed.write(folder, given.folder)
    return trimmed.teacher_ids
