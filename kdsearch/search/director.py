"""Turns the policy's decisions into jobs, and their results into journalled events.

Whoever runs jobs, a cluster or a plain loop, asks for the next one and tells what came of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from kdsearch.errors import RunError
from kdsearch.events import (
    ConfirmChecked,
    ConfirmOpened,
    Event,
    ModelAudited,
    Record,
    RunFinished,
    RunStarted,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from kdsearch.search.ablation import Ablations, Comparison, without_term
from kdsearch.search.agreement import (
    effective,
    has_ended,
    more_ablations,
    plan_changes,
    trials_among,
)
from kdsearch.search.answers import read_confirm, read_item_scores
from kdsearch.search.confirm import recipe_event
from kdsearch.search.job_requests import TEACHER, Audit, JobRequest, JobRequests, Repair
from kdsearch.search.recorded_files import RecordedFiles, by_trial, files_below
from kdsearch.search.reliability import confirm_check, teacher_event
from kdsearch.search.repairs import Repairs
from kdsearch.search.rules import Confirm, Idle, Train
from kdsearch.search.several import places_by_domain
from kdsearch.search.tpe import Tried
from kdsearch.search.validity import conclude

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.search.journal import Journal
    from kdsearch.search.policy import Policy
    from kdsearch.stats.chance import Guesses

Sink = Callable[[Record], None]
"""Shown every record after the journal has it."""

TOLD = (
    *("score", "student_only", "teacher_only", "items", "paired", "domains", "flops"),
    *("untrained_score", "untrained_answers", "seconds", "step", "total_steps", "kept_step"),
    *("ended", "files"),
)
"""What a finished trial's event takes over from its worker's result."""


class Director:
    """One run's jobs, in and out.

    Args:
        run: The run directory.
        policy: A fresh policy; the journal's records are replayed into it.
        journal: The run's journal.
        started: Written first, unless the run had an end already and its plan is the same.
        configuration: By size, index (None for the baseline) and what ended below that index: the
            values that were searched.
        settings: By index and such values: all that a trial trains with.
        settings_hash: Hashes settings, to compare them with what a worker applied.
        guesses: What guessing scores on dev, made from the data when the teacher has answered.
        confirm_guesses: The same on confirm; None leaves it to be compared with dev alone.
        teacher_name: Shown for the teacher.
        units: By item of dev and confirm, the unit it belongs to; empty where items are
            independent.
        audits: Whether teacher and students are audited once the verdicts are there.
        several: Whether items are of several domains, on each of which a student is to match.
        added: Opens confirm again with items added, after the run had an end.
        damaged: What is wrong with files that the journal has recorded, by path: made again first.
        sinks: Shown every record.
    """

    def __init__(
        self,
        *,
        run: Path,
        policy: Policy,
        journal: Journal,
        started: RunStarted,
        configuration: Callable[[str, int | None, Sequence[Tried]], Mapping[str, Any]],
        settings: Callable[[int | None, Mapping[str, Any]], Mapping[str, Any]],
        settings_hash: Callable[[Mapping[str, Any]], str],
        guesses: Callable[[], Guesses],
        teacher_name: str,
        confirm_guesses: Callable[[], Guesses] | None = None,
        units: Mapping[str, str] | None = None,
        audits: bool = False,
        several: bool = False,
        added: ConfirmOpened | None = None,
        damaged: Mapping[str, str] | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.run = run
        self.policy = policy
        self.journal = journal
        self.configuration = configuration
        self.settings = settings
        self.settings_hash = settings_hash
        self.guesses = guesses
        self.confirm_guesses = confirm_guesses
        self.teacher_name = teacher_name
        self.units = units or {}
        self.audits = audits
        self.several = several
        self.sinks = sinks
        self._started = time.monotonic()
        self._jobs: dict[str, Train | Repair | Confirm | Audit | None] = {}
        self._due: list[Repair | Confirm | Audit] = []
        """What is handed out before all else."""
        records = effective(journal.records, started.retried)
        events = [record.event for record in records]
        self.files = RecordedFiles(events)
        self._repairs = Repairs(run, self.files, events)
        self._requests = JobRequests(run, self.files, self._settings)
        self._audited = {e.trial for e in events if isinstance(e, ModelAudited) and not e.error}
        self._steps: dict[str, tuple[int, int]] = {}
        """By job: the step that it has reached, and of how many."""
        self.ablations = Ablations(started.plan.get("ablate", ()), policy.rules)
        self._drawn = {
            (event.size or "", event.index): event.config
            for event in (record.event for record in journal.records)
            if isinstance(event, TrialStarted)
        }
        self._teacher_ready = any(isinstance(r.event, TeacherReady) for r in journal.records)
        faults = by_trial(damaged or {})
        self._teacher_damaged = faults.pop(None, "")
        self._due += self._repairs.of({str(trial): why for trial, why in faults.items()})
        checks = [r.event.items for r in journal.records if isinstance(r.event, ConfirmChecked)]
        self._checked = checks[-1] if checks else 0
        """The confirm items that the teacher's answers were checked on."""
        changed = plan_changes(journal.records, started.plan)
        more = more_ablations(journal.records, started.plan)
        again = bool(changed or more or added or started.retried)
        self.finished = not again and has_ended(journal.records)
        retried = trials_among(started.retried)
        due = policy.restore(records, changed=changed or retried, retried=retried)
        for record in records:
            self.ablations.apply(record.event)
        if not self.finished:
            self._write(started)
            for event in due:
                self._write(event)
        if added is not None:
            self._record(added)

    def next_job(self) -> JobRequest | Idle:
        """Return a job for a worker, or say that there is none now or any more."""
        if not self._teacher_ready or self._teacher_damaged:
            if TEACHER in self._jobs:
                return Idle.WAIT
            self._jobs[TEACHER] = None
            return self._requests.teacher(self._seed, asdict(self.policy.rules))
        if any(isinstance(job, Repair) for job in self._jobs.values()):
            return Idle.WAIT
        if self._due:
            return self._request(self._due.pop(0))
        job = self.policy.next_job()
        if job is Idle.FINISHED:
            job = self._next_ablation()
        if job is Idle.FINISHED:
            return self._next_audit()
        return job if isinstance(job, Idle) else self._request(job)

    def _request(self, job: Train | Repair | Confirm | Audit) -> JobRequest:
        """Return what a worker is asked for a job, and note that it is out."""
        request = self._requests.of(job)
        self._jobs[request.id] = job
        if isinstance(job, Train):
            self._record(
                TrialStarted(
                    size=job.size,
                    trial=job.trial,
                    index=job.index,
                    seed=job.seed,
                    config=self._configuration(job),
                    without=job.without,
                )
            )
        return request

    def progressed(self, job_id: str, progress: Mapping[str, Any]) -> None:
        """Take in what a running job reports; an audit's or repair's shows only life."""
        job = self._jobs[job_id]
        if isinstance(job, Audit | Repair):
            return
        if "step" in progress:
            self._steps[job_id] = progress["step"], progress["total_steps"]
        step, total = self._steps.get(job_id, (0, 0))
        place = {"size": job.size, "trial": job.trial} if job else {}
        told = {**place, "step": step, "total_steps": total, **progress}
        self._record(TrialProgress(**told))

    def stop_reason(self, job_id: str) -> str | None:
        """Return why a running job should stop, or None to let it run."""
        job = self._jobs.get(job_id)
        searched = isinstance(job, Train) and job.without is None
        return self.policy.stop_reason(job_id) if searched else None

    def finished_job(self, job_id: str, result: Mapping[str, Any]) -> None:
        """Take in a job's result."""
        job = self._jobs.pop(job_id)
        if job is None:
            self._judge_teacher(result)
        elif isinstance(job, Repair):
            self._record(self._repairs.done(job, result))
        elif "damaged" in result:
            self._due += self._repairs.of(result["damaged"])
            self._due += [job] if isinstance(job, Confirm | Audit) else []
        elif isinstance(job, Confirm):
            self._repairs.check_whole(result.get("files", {}))
            if self._reliable(job, result):
                self._record(self._tested(job, result))
        elif isinstance(job, Audit):
            self._record(ModelAudited(size=job.size, trial=job.trial, **result))
        else:
            self._record(self._finished(job, result))

    def stopped_job(self, job_id: str, reason: str) -> None:
        """Take in that a trial was stopped before its end."""
        job = self._jobs.pop(job_id)
        if isinstance(job, Train):
            self._record(
                TrialStopped(
                    size=job.size,
                    trial=job.trial,
                    index=job.index,
                    seed=job.seed,
                    reason=reason,
                    step=self._steps.get(job_id, (0, 0))[0],
                )
            )

    def failed_job(self, job_id: str, error: str) -> None:
        """Take in that a job failed: a trial or an audit fails alone, any other ends the run.

        Raises:
            RunError: If the teacher could not be prepared, or confirm not be answered.
        """
        job = self._jobs.pop(job_id)
        if isinstance(job, Audit):
            self._record(ModelAudited(size=job.size, trial=job.trial, error=error))
            return
        if not isinstance(job, Train):
            what = "confirm could not be answered" if job else "the teacher could not be prepared"
            if isinstance(job, Repair):
                what = f"{job.reason}; {job.job.trial} could not be trained again"
            raise RunError(f"{what}: {error}", where=str(self.run))
        self._record(self._failure(job, error))

    def finish(self) -> None:
        """Write the answer, once there are no more jobs."""
        if not self.finished:
            seconds = time.monotonic() - self._started
            found = conclude(self.policy, [record.event for record in self.journal.records])
            self._record(RunFinished(**found._asdict(), seconds=seconds))
            self.finished = True

    @property
    def _seed(self) -> int:
        return self.policy.rules.seed

    def _next_audit(self) -> JobRequest | Idle:
        """Return an audit of the teacher, or of the best trial of a size, as long as one is due."""
        best = [(verdict.size, verdict.best_trial) for verdict in self.policy.verdicts()]
        due = [(None, None), *(pair for pair in best if pair[1] is not None)]
        for size, trial in due if self.audits else ():
            if trial not in self._audited:
                self._audited.add(trial)
                return self._request(Audit(size, trial))
        out = any(isinstance(job, Audit) for job in self._jobs.values())
        return Idle.WAIT if out else Idle.FINISHED

    def _next_ablation(self) -> Train | Idle:
        """Return a trial that ablates a term; compare those that have ended."""
        verdicts = self.policy.verdicts()
        while True:
            step = self.ablations.next(
                verdicts, lambda size, index: self._settings(Train("", size, index, self._seed))
            )
            if isinstance(step, Train | Idle):
                return step
            self._record(self._compared(step) if isinstance(step, Comparison) else step)

    def _compared(self, comparison: Comparison) -> Event:
        self._repairs.check_answers(trial for pair in comparison.pairs for trial in pair)
        answers = [
            [read_item_scores(self.run / "trials" / trial / "dev.jsonl") for trial in pair]
            for pair in comparison.pairs
        ]
        ids = answers[0][0].ids
        if any(each.ids != ids for pair in answers for each in pair):
            raise RunError("two students answered other dev items", where=str(self.run))
        scores = [(one.scores, other.scores) for one, other in answers]
        return self.ablations.compare(comparison, scores, self._units_of(ids))

    def _units_of(self, items: Sequence[str]) -> list[str] | None:
        """Return the unit of each item of a split; None where its items are independent."""
        return [self.units[item] for item in items] if items[0] in self.units else None

    def _reliable(self, job: Confirm, result: Mapping[str, Any]) -> bool:
        """Check confirm before the first test on it, and once items are added; say if it may be."""
        folder = self.run / "teacher"
        dev, confirm = read_item_scores(folder / "dev.jsonl"), read_confirm(folder, job.look)
        if len(confirm.ids) != self._checked:
            self._checked = len(confirm.ids)
            guesses = self.confirm_guesses() if self.confirm_guesses else None
            asked = dev, confirm, guesses, self.policy.rules, self.units
            check = confirm_check(*asked, several=self.several)
            if not (check.reliable or self.policy.rules.force):
                check = replace(check, flops=result["flops"])
            self._record(replace(check, files=files_below(result.get("files", {}), "teacher/")))
            if not (check.reliable or self.policy.rules.force):
                return False
        return True

    def _tested(self, job: Confirm, result: Mapping[str, Any]) -> Event:
        teacher = read_confirm(self.run / "teacher", job.look)
        students = [
            read_confirm(self.run / "trials" / trial, job.look)
            for trial in job.seeds or (job.trial,)
        ]
        if any(student.ids != teacher.ids for student in students):
            raise RunError("student and teacher answered other confirm items", where=str(self.run))
        event = recipe_event(
            self.policy,
            job.size,
            [student.scores for student in students],
            teacher.scores,
            result["flops"],
            units=self._units_of(teacher.ids),
            places=places_by_domain(teacher.ids) if self.several else None,
            look=job.look,
            added=teacher.added,
        )
        return replace(event, files=files_below(result.get("files", {}), "trials/"))

    def _finished(self, job: Train, result: Mapping[str, Any]) -> Event:
        if result["settings_hash"] != self.settings_hash(self._settings(job)):
            return self._failure(job, "the worker trained with other settings than asked")
        return TrialFinished(
            size=job.size,
            trial=job.trial,
            index=job.index,
            seed=job.seed,
            config=self._configuration(job),
            **{name: result[name] for name in TOLD if name in result},
        )

    def _configuration(self, job: Train) -> Mapping[str, Any]:
        """Return what a trial's values are, made once from those that ended below its index."""
        key = (job.size, job.index)
        if key not in self._drawn:
            below = range(job.index or 0) if self.policy.rules.sequential else ()
            ended = self.policy.differences(job.size)
            tried = [Tried(self._drawn[job.size, index], ended[index]) for index in below]
            self._drawn[key] = self.configuration(*key, tried)
        return self._drawn[key]

    def _settings(self, job: Train) -> Mapping[str, Any]:
        settings = self.settings(job.index, self._configuration(job))
        return settings if job.without is None else without_term(settings, job.without)

    def _failure(self, job: Train, error: str) -> TrialFailed:
        return TrialFailed(
            size=job.size, trial=job.trial, index=job.index, seed=job.seed, error=error
        )

    def _judge_teacher(self, result: Mapping[str, Any]) -> None:
        if self._teacher_damaged:
            self._repairs.check_teacher(self._teacher_damaged, result)
            self._teacher_damaged = ""
            return
        self._teacher_ready = True
        self._repairs.check_whole(result.get("files", {}))
        asked = self.run / "teacher", result, self.guesses(), self.policy.rules
        self._record(teacher_event(*asked, self.teacher_name))

    def _record(self, event: Event) -> None:
        """Journal an event, show it, and do the same with what follows from it."""
        self._write(event)
        self.ablations.apply(event)
        if event.trial not in self.ablations:
            for following in self.policy.apply(event):
                self._write(following)

    def _write(self, event: Event) -> None:
        record = self.journal.append(event)
        self.files.apply(event)
        self._repairs.apply(event)
        for sink in self.sinks:
            sink(record)
