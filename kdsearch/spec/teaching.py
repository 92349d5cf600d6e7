"""What can be read of several teachers, as far as the spec alone says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import did_you_mean
from kdsearch.plugin.api import Answer, Signal
from kdsearch.spec.teachers import NAMED, Combine, loss_of, teacher_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kdsearch.plugin.api import Domain
    from kdsearch.spec.models import Stage

ANSWER_SIGNALS = frozenset({Signal.TEXT, Signal.CHOICE_SCORES, Signal.RATIONALE})
"""What answers tell; all that can be known of a teacher that is a file of them."""

WITHOUT_TOKENS = ANSWER_SIGNALS | {Signal.SORTED_PROBABILITIES}
"""What a teacher can say whatever its tokens."""

COMBINED = frozenset({Signal.TEXT, Signal.CHOICE_SCORES, Signal.TOP_LOGITS})
"""What several teachers can say as one."""

Needs = frozenset[Signal]


def unknown_teacher(stage: Stage, key: str) -> str | None:
    """Say that a term names a teacher that there is not; None where it names none such."""
    name = teacher_of(key)
    if name is None or name in stage.names:
        return None
    return f"loss '{key}' names no teacher: {did_you_mean(name, stage.names)}"


def beyond_answers(stage: Stage, key: str, needs: Needs) -> Iterator[str]:
    """Say which black boxes a term asks more than answers."""
    missing = sorted(needs - ANSWER_SIGNALS)
    for place in stage.readers(key) if missing else ():
        if stage.teachers[place].predictions is not None:
            yield (
                f"loss '{key}' needs {' and '.join(missing)} of the teacher, and "
                f"teachers.{place}.predictions gives only {', '.join(sorted(ANSWER_SIGNALS))}"
            )


def without_reasons(stage: Stage, key: str, needs: Needs) -> Iterator[str]:
    """Say which models a term asks for the reasons of their answers."""
    for place in stage.readers(key) if Signal.RATIONALE in needs else ():
        if stage.teachers[place].predictions is None:
            yield (
                f"loss '{key}' learns a teacher's reasons, and teacher '{stage.names[place]}' is a "
                f"model, of which none are known: name one of predictions ({loss_of(key)}{NAMED}"
                "NAME), or set reasons: data"
            )


def inseparable(stage: Stage, key: str, needs: Needs) -> str | None:
    """Say that teachers, or several of them as one, cannot give what a term needs; else None."""
    several = len(stage.readers(key))
    if needs and not several:
        told = " and ".join(sorted(needs))
        return f"loss '{key}' needs {told} of a teacher, and the stage names no teachers"
    if several < 2:
        return None
    example = f"{loss_of(key)}{NAMED}{stage.names[stage.teaching[0]]}"
    if stage.combine is Combine.SEPARATE:
        if Signal.TEXT not in needs:
            return None
        return (
            f"loss '{key}' learns one answer, and combine: separate gives {several}: name a "
            f"teacher ({example}), or set combine: mean"
        )
    layers = sorted(needs - COMBINED)
    if not layers:
        return None
    return (
        f"loss '{key}' needs {' and '.join(layers)}, which {several} teachers have not in common: "
        f"name a teacher ({example}), or set combine: separate"
    )


def unscored(stage: Stage, key: str, needs: Needs, domain: Domain, said: str) -> str | None:
    """Say that a term compares scores of options where there are none; None where there are.

    Args:
        stage: The stage.
        key: The term's.
        needs: Its needs.
        domain: The stage's.
        said: How `evaluation.scoring` finds answers.
    """
    if domain.answer not in (Answer.CHOICE, Answer.LABEL):
        return f"loss '{key}' compares options, and domain '{domain.name}' has none"
    if Signal.CHOICE_SCORES not in needs:
        return None
    own = getattr(domain, "scoring", "auto") if said == "auto" else said
    asked = any(stage.teachers[place].predictions is None for place in stage.readers(key))
    if own != "generate" or not asked:
        return None
    who = f"as domain '{domain.name}' asks" if said == "auto" else "by evaluation.scoring"
    return (
        f"loss '{key}' compares scores of options, and {who} the teacher generates its answers: "
        "set evaluation.scoring: options, or leave the loss out"
    )


def unfit_views(key: str, config: Any, domain: Domain) -> Iterator[str]:
    """Say which views of questions a term asks for that the domain's questions do not have."""
    for view in getattr(config, "views", ()):
        if fault := view.fault(domain.answer):
            yield (
                f"losses.{key}: '{view.name}' changes questions of domain '{domain.name}', "
                f"and {fault}"
            )


def two_texts(stage: Stage, needs: Mapping[str, Needs]) -> str | None:
    """Say that two terms want the answers of two teachers in place of the gold ones."""
    wanted = {stage.readers(key): key for key, own in needs.items() if Signal.TEXT in own}
    if len(wanted) < 2:
        return None
    return (
        f"losses {' and '.join(sorted(wanted.values()))} learn the answers of different teachers, "
        "and a student is given one answer to each question: keep one of them"
    )


def weighs_answers(stage: Stage, needs: Mapping[str, Needs]) -> bool:
    """Whether teachers are weighed by their answers to train."""
    return stage.combine is Combine.CORRECTNESS and any(
        own and len(stage.readers(key)) > 1 for key, own in needs.items()
    )
