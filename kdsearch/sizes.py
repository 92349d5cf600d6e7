"""The sizes that a spec's ladder offers, counted and checked before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.errors import DataError, PluginError, SpecError
from kdsearch.facts import facts_of_config
from kdsearch.plugin.api import Shapes, Size
from kdsearch.plugin.faults import PluginCall, shown
from kdsearch.spec.signals import at_loss, combined, configs_of
from kdsearch.spec.teaching import WITHOUT_TOKENS
from kdsearch.storage import file_name
from kdsearch.texts import training_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Example
    from kdsearch.spec.models import SearchSpec, Stage
    from kdsearch.spec.parts import Parts


def sizes_of(
    spec: SearchSpec,
    parts: Parts,
    teachers: Mapping[int, ModelFacts],
    trains: Sequence[Sequence[Example] | None],
) -> tuple[Size, ...]:
    """Return the sizes of a spec's ladder, ascending by parameters; equal ones by name.

    Args:
        spec: The search.
        parts: Its plugins.
        teachers: The measures of those that teach, and of the first, by place.
        trains: By stage, the examples to train on, if the data are there.

    Raises:
        SpecError: If a size does not fit the teacher, or a loss not the size.
        DataError: If sizes hang on training texts that are not there.
        PluginError: If the ladder raises anything else, or gives no sizes or equal names.
    """
    kind, teacher = spec.ladder.kind, teachers[0]
    given = {}
    if getattr(parts.ladder_config, "reads_texts", False):
        given["texts"] = texts_of(spec, parts, teacher, trains)
    with PluginCall(f"ladder '{kind}'", "sizes"):
        sizes = list(parts.ladder.sizes(parts.ladder_config, teacher, **given))
    if not all(isinstance(size, Size) for size in sizes):
        raise PluginError(f"gave sizes that are none: {shown(sizes)}", where=f"ladder '{kind}'")
    if not sizes or len({str(size.name).lower() for size in sizes}) < len(sizes):
        fault = "gave two sizes one name, but for its case" if sizes else "gave no sizes"
        raise PluginError(fault, where=f"ladder '{kind}'")
    for size in sizes:
        try:
            file_name(size.name)
        except (ValueError, TypeError) as error:
            raise PluginError(
                f"gave a size whose name {error}", where=f"ladder '{kind}'"
            ) from error
    check_sizes(spec.stage, parts, teachers, sizes)
    return tuple(sorted(sizes, key=lambda size: (size.parameters, size.name)))


def check_sizes(
    stage: Stage, parts: Parts, teachers: Mapping[int, ModelFacts], sizes: Sequence[Size]
) -> None:
    """Refuse losses of a stage that do not fit the students.

    Raises:
        SpecError: If a loss compares token by token with other tokens, or refuses their measures.
    """
    _check_tokens(parts, sizes)
    _check_measures(stage, parts, teachers, sizes)


def texts_of(
    spec: SearchSpec,
    parts: Parts,
    teacher: ModelFacts,
    trains: Sequence[Sequence[Example] | None],
) -> list[str]:
    """Return the training texts of all stages as the teacher's tokenizer is given them.

    Args:
        spec: The search.
        parts: Its plugins.
        teacher: The first teacher's measures.
        trains: By stage, the examples to train on, if the data are there.

    Raises:
        DataError: If they are not there.
        SpecError: If they are chats.
    """
    folder, found = Path(teacher.path or "."), dict[str, None]()
    causal = not teacher.encoder_decoder
    for own, train in zip((*parts.earlier, parts), trains, strict=True):
        if train is None:
            raise DataError(
                "vocabulary: domain counts the tokens of the training data, which are not there",
                where=f"domain '{own.domain.name}'",
                fix="provide the data, or use vocabulary: whole",
            )
        read = training_texts(train, own.domain, own.options, spec.prompt, folder, causal=causal)
        found |= dict.fromkeys(read)
    return list(found)


def _check_measures(
    stage: Stage, parts: Parts, teachers: Mapping[int, ModelFacts], sizes: Sequence[Size]
) -> None:
    """Let each loss refuse students whose measures do not fit, with any of its searched options."""
    for name, loss in parts.losses.items():
        read = [teachers[place] for place in stage.readers(name)]
        groups = [tuple(read)] if combined(stage, name) else [(each,) for each in read]
        for config in configs_of(loss, stage.losses[name]):
            check = getattr(config, "check", None)
            for size in sizes:
                if check is None or size.config is None:
                    continue
                student = facts_of_config(size.config, head_tied=size.head_tied)
                for group in groups:
                    call = PluginCall(f"loss '{name}'", "check")
                    with at_loss(name, f"size {size.name}: "), call:
                        check(Shapes(student, group))


def _check_tokens(parts: Parts, sizes: Sequence[Size]) -> None:
    """Refuse losses that compare token by token with a student of other tokens."""
    others = [size.name for size in sizes if size.other_tokens]
    if not others:
        return
    for name, loss in parts.losses.items():
        needs = sorted(frozenset(loss.needs) - WITHOUT_TOKENS)
        if needs:
            raise SpecError(
                f"loss '{name}' needs {' and '.join(needs)}, which compare token by token, and "
                f"{', '.join(others)} {'has' if len(others) == 1 else 'have'} another tokenizer "
                "than the teacher",
                where=f"losses.{name}",
                fix="use answer_ce, also with labels: teacher, choice_scores, or uld",
            )
