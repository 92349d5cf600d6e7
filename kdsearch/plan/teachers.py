"""The teachers of a plan: their measures, and whether students can learn from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.assistants import source_folder
from kdsearch.errors import SpecError
from kdsearch.facts import (
    BYTE_VOCABULARY,
    ModelFacts,
    black_box_facts,
    check_tokenizer,
    facts_of_config,
    facts_of_folder,
    vocabulary_of,
)
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.teachers import NAMED, loss_of
from kdsearch.spec.teaching import WITHOUT_TOKENS
from kdsearch.tokens import byte_tokens, known_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.spec.models import SearchSpec, Stage
    from kdsearch.spec.parts import Parts
    from kdsearch.spec.teachers import Teacher


def teacher_facts(source: Teacher, parts: Parts) -> ModelFacts:
    """Return the measures of a teacher: made from scratch, stored, or of a black box.

    Raises:
        ModelError: If its folder, or its domain's tokenizer, is none.
    """
    folder = source_folder(source)
    if folder is not None:
        facts = facts_of_folder(folder)
        return replace(facts, tokens=check_tokenizer(folder, facts.vocabulary))
    own = _own_tokenizer(parts)
    vocabulary = vocabulary_of(own) if own else BYTE_VOCABULARY
    if source.scratch is None:
        return black_box_facts(vocabulary)
    measures = ScratchSize(**source.scratch.model_dump(exclude={"family"}))
    config = scratch_model_config(source.scratch.family, measures, vocabulary)
    return facts_of_config(config, head_tied=True)


def facts_by_place(spec: SearchSpec, place: int, parts: Parts) -> dict[int, ModelFacts]:
    """Return the measures of all that teach in a stage, and of the last stage's first teacher.

    Args:
        spec: The search.
        place: Of the stage.
        parts: The plugins of the last stage: its domain's tokenizer is that of made teachers.

    Raises:
        ModelError: If a folder is no model folder.
        SpecError: If a loss compares token by token with a teacher of other tokens.
    """
    stage, first = spec.stages[place], spec.stage.teachers[0]
    own = (*parts.earlier, parts)[place]
    places = {*stage.teaching} | ({0} if stage is spec.stage else set())
    facts = {each: teacher_facts(stage.teachers[each], parts) for each in sorted(places)}
    family = getattr(parts.ladder_config, "family", None) or teacher_facts(first, parts).family
    tokens = _tokens(first, parts)
    for each, measures in facts.items():
        other = _tokens(stage.teachers[each], parts)
        if None not in (tokens, other) and tokens != other:
            _refuse(
                stage, own, each, "has another tokenizer than the first, which is the students'"
            )
        if measures.known_parameters and measures.encoder_decoder != (family == "t5"):
            kind = "an encoder-decoder" if measures.encoder_decoder else "a causal model"
            _refuse(stage, own, each, f"is {kind}, and students are not")
    return facts


def name_of(source: Teacher, facts: ModelFacts) -> str:
    """Return a teacher's folder as the spec names it, or what it is made from."""
    if source.predictions is not None:
        return f"black box {Path(source.predictions).name}"
    if source.run is not None:
        return f"student {source.size} of {Path(source.run).name}"
    return source.model or f"scratch {facts.family}"


def _refuse(stage: Stage, parts: Parts, place: int, what: str) -> None:
    """Refuse terms that compare tokens with a teacher that does not share the students'."""
    for key, needs in parts.needs_by_term.items():
        compared = sorted(needs - WITHOUT_TOKENS)
        if compared and place in stage.readers(key):
            others = [stage.names[other] for other in stage.teaching if other != place]
            raise SpecError(
                f"loss '{key}' needs {' and '.join(compared)}, which compare token by token, and "
                f"teacher '{stage.names[place]}' {what}",
                where=f"losses.{key}",
                fix=_advice(key, others, place),
            )


def _advice(key: str, others: list[str], place: int) -> str:
    named = [f"name one that shares it ({loss_of(key)}{NAMED}{others[0]})"] if others else []
    return ", ".join(
        [
            "let it teach by choice_scores, uld, or answer_ce with labels: teacher",
            *named,
            f"or set teachers.{place}.weight: 0",
        ]
    )


def _own_tokenizer(parts: Parts) -> Path | None:
    own = getattr(parts.domain, "tokenizer", None)
    return Path(own(parts.options)) if own else None


def _tokens(source: Teacher, parts: Parts) -> Mapping[str, int] | None:
    """Return a teacher's tokens by id; None where no file says them."""
    own = source_folder(source) or _own_tokenizer(parts)
    return byte_tokens() if own is None else known_tokens(own)
