"""What the live view says of a run, before it is drawn: a heading and a row a size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.report import numbers
from kdsearch.report.estimate import seconds_left
from kdsearch.report.state import TEACHER, TrialStatus
from kdsearch.search.evidence import expected_at_the_bar, weigh

if TYPE_CHECKING:
    from kdsearch.report.state import PhaseState, RunState, SizeState, TrialState

BAR = 12
"""Characters of a progress bar."""

TRIAL_LINE = 38
"""Characters of a running trial's line."""


class BoardRow(NamedTuple):
    """One size while the search goes on."""

    name: str
    parameters: int | None
    share: float | None
    """Of the teacher's parameters."""
    dev: float | None
    """The best score of its distilled trials so far."""
    needed: float | None
    """The score from which on that trial passes; of one on its way, expected."""
    verdict: str | None
    confirmed: bool
    """Whether confirm decided it."""
    state: str
    """What runs, or what was decided and why; a line for each running trial."""


def board_rows(state: RunState, *, live: bool = True) -> list[BoardRow]:
    """Return a row for each size, the largest first.

    Args:
        state: The run.
        live: Whether running trials go on; else the view has ended before them.
    """
    sizes = sorted(state.sizes.values(), key=lambda size: -(size.parameters or 0))
    return [_row(size, state, live) for size in sizes]


def _row(size: SizeState, state: RunState, live: bool) -> BoardRow:
    trials = state.trials_of(size.name)
    searched = [trial for trial in trials if trial.without is None]
    whole = state.teacher.parameters if state.teacher else state.plan.teacher_parameters
    scored = [trial for trial in searched if trial.index is not None and trial.score is not None]
    best = max(scored, key=lambda trial: trial.score or 0.0, default=None)
    return BoardRow(
        name=size.name,
        parameters=size.parameters,
        share=size.parameters / whole if whole and size.parameters else None,
        dev=best.score if best else None,
        needed=_needed(best, state) if best else None,
        verdict=size.verdict,
        confirmed=size.decided_on == "confirm",
        state="\n".join(_state_lines(size, trials, live)),
    )


def _needed(trial: TrialState, state: RunState) -> float | None:
    if state.plan.rules is None or trial.answers is None:
        return None
    evidence = weigh(trial.answers, state.plan.rules)
    if trial.status is TrialStatus.RUNNING:
        asked = expected_at_the_bar(evidence, state.plan.rules).required
        return evidence.score - evidence.difference + asked
    return evidence.required_score


def _state_lines(size: SizeState, trials: list[TrialState], live: bool) -> list[str]:
    """Say what was decided, else what runs and how the others ended."""
    if size.verdict is not None:
        lines = [_decision(size)]
        if size.alpha is not None and size.decided_on == "dev":
            lines.append(f"declared for confirm, alpha {size.alpha:.4g}")
            lines += [_seed_line(trial, live) for trial in trials if _further_seed(trial)]
            asked = [
                trial.phase for trial in trials if trial.phase and trial.phase.name == "confirm"
            ]
            lines += [f"answering {phase_text(phase)}" for phase in asked if live]
        lines += [_ablation_line(trial, live) for trial in trials if _ablates(trial)]
        return lines
    lines = [trial_line(trial, live) for trial in trials if trial.status is TrialStatus.RUNNING]
    ended = [trial for trial in trials if trial.status is not TrialStatus.RUNNING]
    if ended:
        lines.append(", ".join(_ended(trial) for trial in ended))
    return lines


def _decision(size: SizeState) -> str:
    """Return a decision's reason without the size's name, and without what comes next."""
    reason, _, _ = size.reason.removeprefix(f"{size.name} ").rpartition("; ")
    return reason or size.reason


def short_name(trial: TrialState) -> str:
    """Return what tells a trial from the others of its size: baseline, c0."""
    return "baseline" if trial.index is None else f"c{trial.index}"


def _further_seed(trial: TrialState) -> bool:
    """Whether a trial of a size that passed runs on for confirm."""
    searched = trial.index is not None and trial.without is None
    return searched and trial.status is TrialStatus.RUNNING


def _ablates(trial: TrialState) -> bool:
    """Whether a trial runs without a term of the objective."""
    return trial.without is not None and trial.status is TrialStatus.RUNNING


def _ablation_line(trial: TrialState, live: bool) -> str:
    return f"without {trial.without}\n{progress(trial, live)}"


def _seed_line(trial: TrialState, live: bool) -> str:
    return f"seed {trial.name.rpartition('-s')[2]:<3} {progress(trial, live)}"


def trial_line(trial: TrialState, live: bool) -> str:
    """Show a running trial's progress."""
    return f"{short_name(trial):<8} {progress(trial, live)}"


def progress(trial: TrialState, live: bool) -> str:
    """Draw how far training has come, or say where it was left."""
    if not live:
        return f"left at step {trial.step}/{trial.total_steps}"
    if trial.phase is not None:
        return phase_text(trial.phase)
    done = round(BAR * trial.share_done)
    bar = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * done
    bar += "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (BAR - done)
    text = f"{bar} {100 * trial.share_done:3.0f}%"
    return text if trial.loss is None else f"{text}  loss {trial.loss:.3g}"


def phase_text(phase: PhaseState) -> str:
    """Say how far a phase has come, and what is left at its pace."""
    text = f"{phase.name} {phase.done:,}/{phase.of:,}"
    left = phase.seconds_left
    return text if left is None else f"{text} \N{MIDDLE DOT} {numbers.clock(left)} left"


def _ended(trial: TrialState) -> str:
    name = short_name(trial)
    if trial.status is TrialStatus.FINISHED:
        return f"{name} {numbers.score(trial.score)}"
    return f"{name} {trial.status}"


def heading(state: RunState, elapsed: float, *, live: bool = True) -> list[tuple[str, str]]:
    """Return labelled lines: the teacher, the cost so far, the time.

    Args:
        state: The run.
        elapsed: Seconds into it.
        live: Whether what runs goes on; else the view has ended before it.
    """
    return [("teacher", _teacher(state, live)), ("so far", _so_far(state, elapsed, live))]


def _teacher(state: RunState, live: bool) -> str:
    if state.teacher is None:
        training = state.trials.get(TEACHER)
        if training is None:
            return "being prepared" if live else "not ready"
        doing = (
            training.phase.label.removesuffix(training.phase.name)
            if training.phase
            else "training "
        )
        return f"{doing if live else ''}{progress(training, live)}"
    ready = state.teacher
    text = f"{numbers.measure(ready.parameters)}, dev {numbers.score(ready.score)}"
    if not ready.informative:
        return f"{text}, not above guessing"
    return text if ready.sensitive else f"{text}, within the margin of guessing"


def _so_far(state: RunState, elapsed: float, live: bool) -> str:
    share = numbers.percent(state.share_of_grid)
    parts = [f"{share} of the exhaustive grid", numbers.clock(elapsed)]
    left = seconds_left(state, elapsed)
    if state.finished is not None:
        parts.append("finished")
    elif live and left is not None:
        parts.append(f"{numbers.about(left)} left")
    return ", ".join(parts)
