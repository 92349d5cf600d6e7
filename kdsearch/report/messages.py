"""One line for each event worth a line, as plain text.

A line says what happened and, where something was decided, why. Progress is told rarely: see
`ProgressGate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.events import (
    AblationSkipped,
    ConfirmChecked,
    ConfirmOpened,
    ConfirmTested,
    ModelAudited,
    RunFinished,
    RunStarted,
    SizeDecided,
    TeacherReady,
    TermAblated,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialRepaired,
    TrialStarted,
    TrialStopped,
)
from kdsearch.report import audits, numbers, rows
from kdsearch.report.ablations import ablation_text
from kdsearch.report.state import trial_name
from kdsearch.report.trials import end_text, settings_text, stop_text
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.recorded_files import repair_text
from kdsearch.search.sensitivity import Sensitivity, insensitive_reason
from kdsearch.search.sentences import against_teacher
from kdsearch.search.summary import ablation_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kdsearch.events import Event, Record
    from kdsearch.report.state import RunState

SECONDS_BETWEEN_LINES = 10.0
"""At most a line of progress so often, a trial; quarter marks are told in any case."""


class ProgressGate:
    """Lets through the progress of a trial that is worth a line."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}
        """By trial: when its last line was told, and the quarter it had reached."""

    def opens(self, record: Record) -> bool:
        """Whether a record is worth a line; every event but progress is."""
        event = record.event
        if isinstance(event, TrialStarted):
            self._told[trial_name(event)] = (record.time, 0)
        if not isinstance(event, TrialProgress) or event.note is not None:
            return True
        name = trial_name(event)
        quarter = 4 * event.step // event.total_steps if event.total_steps else 0
        began = float("-inf") if event.phase else record.time
        last_time, last_quarter = self._told.setdefault(name, (began, 0))
        due = record.time - last_time >= SECONDS_BETWEEN_LINES or quarter > last_quarter
        if due:
            self._told[name] = (record.time, max(quarter, last_quarter))
        return due


def message(event: Event, state: RunState) -> str | None:
    """Return an event's line, or None where it needs none.

    Args:
        event: What happened.
        state: The run with this event taken in.
    """
    match event:
        case RunStarted():
            return _run_started(event, state)
        case TeacherReady():
            return _teacher_ready(event)
        case TrialStarted():
            told = settings_text(event.config)
            return f"{event.trial}  started{f': {told}' if told else ''}"
        case TrialProgress():
            return _progress(event, state)
        case TrialFinished():
            return _trial_finished(event, state)
        case TrialRepaired():
            return f"{event.trial}  {repair_text(event)}"
        case TrialStopped():
            return f"{event.trial}  stopped at step {event.step}: {stop_text(event.reason)}"
        case TrialFailed():
            return f"{event.trial}  failed: {numbers.last_line(event.error)}"
        case SizeDecided():
            return f"size {event.reason}"
        case ConfirmOpened():
            shares = zip(event.sizes, event.alphas, strict=False)
            listed = ", ".join(f"{size} (alpha {alpha:.4g})" for size, alpha in shares)
            again = f" again, with items added ({event.items:,} in all)," if event.items else ""
            return f"confirm opened{again} for {listed}"
        case ConfirmChecked():
            return _confirm_checked(event)
        case ConfirmTested():
            return _confirm_tested(event)
        case ModelAudited():
            return f"{event.size or 'teacher'} audited on dev: {audits.audit_text(event)}"
        case TermAblated() | AblationSkipped():
            return f"ablation: {ablation_text(ablation_json(event))}"
        case RunFinished():
            outcome = rows.OUTCOMES.get(event.outcome, event.outcome)
            said = event.sentence.lower().startswith(f"{outcome}: ")
            return event.sentence if said else f"{outcome}: {event.sentence}"
    return None


def _run_started(event: RunStarted, state: RunState) -> str:
    plan = state.plan
    text = f"run {event.run} {'resumed' if event.resumed else 'started'}"
    if plan.sizes:
        counts = sorted(plan.sizes.values())
        text += f": {numbers.noun(len(counts), 'size')}"
        text += f" from {numbers.parameters(counts[0])} to {numbers.parameters(counts[-1])}"
        text += f", baseline and {numbers.noun(plan.trials_per_size - 1, 'configuration')} each"
    if event.resumed and state.trials:
        text += f"; {numbers.noun(len(state.trials), 'trial')} need no repeating"
    return text + "".join(f"\n       warning: {line}" for line in event.plan.get("warnings", ()))


def _teacher_ready(event: TeacherReady) -> str:
    text = f"teacher ready: {numbers.measure(event.parameters)}, "
    text += f"dev {numbers.score(event.score)} on {event.items:,} items"
    text += _chance(event.chance)
    if not event.informative:
        text += "; not above guessing"
    elif not event.sensitive:
        text += f"; {insensitive_reason(Sensitivity(**event.sensitivity))}"
    lines = [text, *(_other(name, other) for name, other in event.others.items())]
    lines += [f"signals {_signals(event.signals)}"] if event.signals else []
    return "\n       ".join(lines)


def _chance(figures: Mapping[str, float]) -> str:
    """Say what guessing scores, in brackets."""
    known = [
        f"{name.removesuffix('_score')} {numbers.score(value)}"
        for name, value in figures.items()
        if name.endswith("_score")
    ]
    if "p_value" in figures:
        known.append(f"p {numbers.probability(figures['p_value'])}")
    return f" ({', '.join(known)})" if known else ""


def _other(name: str, teacher: Mapping[str, Any]) -> str:
    """Say what a teacher is beside the first."""
    text = f"beside it {name}: {numbers.measure(teacher['parameters'])}"
    if teacher["score"] is None:
        return text
    return f"{text}, dev {numbers.score(teacher['score'])} on {teacher['items']:,} items"


def _signals(signals: Mapping[str, Any]) -> str:
    """Say how trials get the teacher's signals, and why."""
    size, most = (numbers.size(signals[key]) for key in ("bytes", "max_bytes"))
    if signals["mode"] == "online":
        why = f", more than cache.max_bytes ({most})" if signals["asked"] == "auto" else ""
        return f"online, by the teacher beside each student: stored they would take {size}{why}"
    text = f"cached: {size} for {signals['rows']:,} rows"
    if not signals["computed"]:
        return f"{text}, all computed by an earlier run"
    if signals["damaged"]:
        text += f"; {signals['damaged']:,} were damaged and are computed anew"
    earlier = signals["rows"] - signals["computed"]
    return f"{text}; {earlier:,} were computed before" if earlier else text


def _progress(event: TrialProgress, state: RunState) -> str:
    if event.note is not None:
        return f"{trial_name(event)}  {event.note}"
    stage = "" if event.stage is None else f"stage {event.stage}  "
    trial = state.trials.get(trial_name(event))
    if trial is not None and (phase := trial.phase) is not None:
        left = "" if phase.seconds_left is None else f", {numbers.clock(phase.seconds_left)} left"
        return f"{trial.name}  {stage}{phase.label} {phase.done:,}/{phase.of:,}{left}"
    text = f"{trial_name(event)}  {stage}step {event.step}/{event.total_steps}"
    if event.losses:
        text += f"  loss {event.losses.get('loss', sum(event.losses.values())):.3g}"
    if event.validation:
        text += f"  validation {event.validation['loss']:.3g}"
    text = text if event.score is None else f"{text}  dev {numbers.score(event.score)}"
    return text + (f"\n       {_sample(event.sample)}" if event.sample else "")


def _sample(sample: Mapping[str, Any]) -> str:
    said = ", ".join(f"{who} {sample[who] or '-'}" for who in ("correct", "teacher", "student"))
    return f"{sample['question']} | {said} | last 25: {numbers.score(sample['running'])}"


def _trial_finished(event: TrialFinished, state: RunState) -> str:
    text = f"{event.trial}  finished in {numbers.duration(event.seconds)}: "
    text += f"dev {numbers.score(event.score)}"
    answers = Answers(
        event.score, event.student_only, event.teacher_only, event.items, event.paired
    )
    rules = state.plan.rules
    if rules is not None and rules.retain is None:
        text += f", {against_teacher(weigh(answers, rules).difference)}"
    text += f"  [{numbers.percent(state.share_of_grid)} of the grid so far]"
    ended = end_text(event)
    return f"{text}\n       {ended}" if ended else text


def _confirm_checked(event: ConfirmChecked) -> str:
    text = f"teacher on confirm: {numbers.score(event.score)} on {event.items:,} items"
    text += f"{_chance(event.chance)}, dev {numbers.score(event.dev_score)}"
    return text if event.reliable else f"{text}; unreliable: {event.reason}"


def _confirm_tested(event: ConfirmTested) -> str:
    seeds = f" over {event.seeds} seeds" if event.seeds > 1 else ""
    return (
        f"{event.size} on confirm: {numbers.score(event.student_score)}, teacher "
        f"{numbers.score(event.teacher_score)} on {event.items:,} "
        f"{'units' if event.in_units else 'items'}{seeds}, p {numbers.probability(event.p_value)}"
    )
