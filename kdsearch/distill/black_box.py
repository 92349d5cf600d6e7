"""A teacher of which only answers are known: they are looked up, and no model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.distill.evaluate import Answers, judge, write_predictions

if TYPE_CHECKING:
    from kdsearch.distill.staff import OneTeacher
    from kdsearch.distill.workspace import Workspace


def prepare_black_box(
    workspace: Workspace, teacher: OneTeacher, *, first: bool
) -> tuple[None, float | None, int]:
    """Store a teacher's answers to dev and, for losses that read them, to train.

    Students from scratch find their tokenizer where a model teacher has its own.

    Args:
        workspace: The run.
        teacher: The black box.
        first: Whether students are compared with it; another one need not answer dev.

    Returns:
        Its parameters, which nobody counts; its score on dev, and of how many items.
    """
    given = teacher.given
    if given is None:
        raise ValueError(f"teacher '{teacher.name}' is no black box")
    if first:
        with workspace.files.fill(teacher.folder) as draft:
            workspace.scratch_tokenizer().save_pretrained(draft)
    if teacher.needs:
        write_predictions(workspace.files, teacher.taught_file, given.of(workspace.assigned.train))
    dev = workspace.assigned.dev
    if not first and not (dev and given.answers(dev)):
        return None, None, 0
    answers = answer_given(workspace, teacher, "dev")
    return None, answers.mean, len(answers.scores)


def answer_given(workspace: Workspace, teacher: OneTeacher, split: str) -> Answers:
    """Judge the given answers to a split, and store them as a model's own would be."""
    examples = workspace.examples(split)
    given = [] if teacher.given is None else teacher.given.of(examples)
    answers = judge(given, examples, workspace.parts.domain, workspace.spec.match.metric)
    answers.write(workspace.files, teacher.root / f"{split}.jsonl")
    return answers
