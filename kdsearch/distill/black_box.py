"""A teacher of which only answers are known: they are looked up, and no model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.distill.evaluate import Answers, judge, write_predictions

if TYPE_CHECKING:
    from kdsearch.distill.workspace import Workspace
    from kdsearch.predictions import Predictions


def prepare_black_box(workspace: Workspace, given: Predictions) -> dict[str, Any]:
    """Store the teacher's answers to dev and, for losses that read them, to train.

    Students from scratch find their tokenizer where a model teacher has its own. One student is
    built to see that it can read every split.
    """
    workspace.scratch_tokenizer().save_pretrained(workspace.teacher_folder)
    smallest = workspace.size(workspace.manifest["sizes"][0]["name"])
    parts, seed = workspace.parts, workspace.spec.search.seed
    student = parts.ladder.build(smallest, parts.ladder_config, workspace.teacher_facts, seed)
    cut = workspace.read_all(student)
    if parts.needs:
        write_predictions(workspace.taught_file, given.of(workspace.assigned.train))
    answers = answer_given(workspace, given, "dev")
    return {
        "parameters": None,
        "score": answers.mean,
        "items": len(answers.scores),
        "cut": cut,
        "flops": {"fine_tune": 0.0, "signals": 0.0, "evaluation": 0.0},
    }


def answer_given(workspace: Workspace, given: Predictions, split: str) -> Answers:
    """Judge the given answers to a split, and store them as a model's own would be."""
    examples = getattr(workspace.assigned, split)
    metric = workspace.spec.match.metric
    answers = judge(given.of(examples), examples, workspace.parts.domain, metric)
    answers.write(workspace.teacher_root / f"{split}.jsonl")
    return answers
