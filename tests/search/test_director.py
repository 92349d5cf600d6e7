"""The director: jobs out, results in, the journal in between."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import RunError
from kdsearch.events import (
    ModelAudited,
    RunStarted,
    SizeDecided,
    TrialFailed,
    TrialFinished,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from kdsearch.search.director import Director
from kdsearch.search.journal import Journal
from kdsearch.search.policy import Policy
from kdsearch.search.rules import FINISHED, WAIT, Idle, Rules, SizeCost
from kdsearch.stats.chance import Guesses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ITEMS = 400
ABLE = {"small": 0.5, "medium": 0.9, "large": 0.92}
"""How well each size answers; the teacher has 0.9."""


def right(share: float) -> list[float]:
    return [float(item < share * ITEMS) for item in range(ITEMS)]


def write(path: Path, scores: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": str(at), "score": score}) for at, score in enumerate(scores)]
    path.write_text("\n".join(lines), encoding="utf8")


RULES = Rules(margin=0.05, dev_items=ITEMS, confirm_items=ITEMS, configurations=2)


def direct(
    run: Path,
    journal: Journal,
    sinks: Any = (),
    names: Sequence[str] = tuple(ABLE),
    units: Mapping[str, str] | None = None,
    audits: bool = False,
    **changes: Any,
) -> Director:
    rules = replace(RULES, **changes)
    sizes = [SizeCost(name, 10.0 * (1 + at)) for at, name in enumerate(names)]
    plan = {"name": "fake", "sizes": [{"size": name} for name in names]}
    return Director(
        run=run,
        policy=Policy(sizes, rules),
        journal=journal,
        started=RunStarted(run="fake", plan=plan),
        configuration=lambda size, index, tried: {"train.x": index, "tried": len(tried)},
        settings=lambda index, drawn: {"index": index},
        settings_hash=lambda settings: f"hash of {settings['index']}",
        guesses=lambda: Guesses([0.0] * ITEMS, []),
        teacher_name="fake",
        units=units,
        audits=audits,
        sinks=sinks,
    )


def result(run: Path, job: Any, teacher: float = 0.9) -> dict[str, Any]:
    """Do a job as a worker would, with answers made up."""
    payload = job.payload
    if payload["kind"] == "teacher":
        write(run / "teacher" / "dev.jsonl", right(teacher))
        return {"parameters": 9, "score": teacher, "items": ITEMS, "flops": {"fine_tune": 1.0}}
    if payload["kind"] == "audit":
        return {"items": ITEMS, "flops": {"evaluation": 1.0}}
    able = ABLE[payload["size"]]
    if payload["kind"] == "confirm":
        write(run / "teacher" / "confirm.jsonl", right(teacher))
        for trial in payload["trials"]:
            write(run / "trials" / trial / "confirm.jsonl", right(able))
        return {"flops": {"evaluation": 1.0}}
    difference = round((able - teacher) * ITEMS)
    return {
        "score": able,
        "student_only": max(0, difference),
        "teacher_only": max(0, -difference),
        "items": ITEMS,
        "untrained_score": 0.0,
        "settings_hash": f"hash of {payload['settings']['index']}",
        "flops": {"training": 1.0},
        "seconds": 1.0,
    }


def work_off(director: Director, run: Path, most: int = 99, **options: Any) -> list[str]:
    """Do jobs one after the other and return their ids."""
    done: list[str] = []
    while len(done) < most and not isinstance(job := director.next_job(), Idle):
        director.finished_job(job.id, result(run, job, **options))
        done.append(job.id)
    return done


def test_a_search_runs_from_teacher_to_verdict(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        jobs = work_off(director, tmp_path)
        director.finish()
        assert jobs[0] == "teacher"
        assert "medium-c0-s0-confirm" in jobs
        assert director.policy.outcome() == "match"
        names = [record.event.name for record in journal.records]
        assert names[:3] == ["run_started", "teacher_ready", "trial_started"]
        assert names[-1] == "run_finished"
        assert names.index("confirm_opened") < names.index("confirm_tested")


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("killed_after", range(12))
def test_a_resumed_search_repeats_nothing_and_ends_alike(
    killed_after: int, seeds: int, tmp_path: Path
) -> None:
    with Journal(tmp_path / "whole.jsonl") as journal:
        whole = direct(tmp_path, journal, seeds=seeds)
        all_jobs = work_off(whole, tmp_path)
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, seeds=seeds)
        first = work_off(director, tmp_path, most=killed_after)
        director.next_job()  # under way when the driver dies
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, seeds=seeds)
        second = work_off(director, tmp_path)
        assert first + second == all_jobs
        assert director.policy.verdicts() == whole.policy.verdicts()


def test_a_recipe_is_tested_over_all_its_seeds(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, seeds=3)
        jobs = work_off(director, tmp_path)
        assert jobs[-3:] == ["medium-c0-s2", "medium-c0-s3", "medium-c0-s0-confirm"]
        tested = director.policy.tests[0]
        assert (tested.seeds, tested.verdict, tested.trial) == (3, "match", "medium-c0-s0")
        assert "smallest size whose recipe was found to match" in director.policy.sentence()
        assert "400 confirm items over 3 seeds" in director.policy.sentence()


def test_a_configuration_is_made_from_those_that_ended_below_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        work_off(direct(tmp_path, journal, sequential=True), tmp_path, most=3)
    with Journal(tmp_path / "journal.jsonl") as journal:
        work_off(direct(tmp_path, journal, sequential=True), tmp_path)
        started = [r.event for r in journal.records if isinstance(r.event, TrialStarted)]
        tried = {event.trial: event.config["tried"] for event in started}
        assert tried["small-c0-s0"] == 0
        assert tried["small-c1-s0"] == 1


def test_items_of_one_unit_are_tested_together(tmp_path: Path) -> None:
    units = {str(item): f"passage {item // 4}" for item in range(ITEMS)}
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, units=units)
        work_off(director, tmp_path)
        tested = director.policy.tests[0]
        assert (tested.items, tested.in_units) == (ITEMS // 4, True)
        assert "100 confirm units" in director.policy.sentence()


def test_answers_to_other_items_than_the_teachers_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        jobs = work_off(direct(tmp_path, journal), tmp_path)
    with Journal(tmp_path / "another.jsonl") as journal:
        work_off(director := direct(tmp_path, journal), tmp_path, most=len(jobs) - 1)
        job = director.next_job()
        assert not isinstance(job, Idle)
        assert job.id == "medium-c0-s0-confirm"
        done = result(tmp_path, job)
        write(tmp_path / "teacher" / "confirm.jsonl", right(0.9)[1:])
        with pytest.raises(RunError, match="other confirm items"):
            director.finished_job(job.id, done)


def test_a_ladder_that_grew_keeps_its_match_and_explores(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, names=["small", "large"])
        done = work_off(director, tmp_path)
        director.finish()
        assert director.policy.sentence().startswith("large is the smallest student")
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        again = work_off(director, tmp_path)
        director.finish()
        assert not {*done} & {*again}
        found = {verdict.size: verdict for verdict in director.policy.verdicts()}
        assert (found["medium"].verdict, found["medium"].exploratory) == ("match", True)
        assert (found["large"].verdict, found["large"].exploratory) == ("match", False)
        assert director.policy.outcome() == "match"
        sentence = director.policy.sentence()
        assert sentence.startswith("large is the smallest student")
        assert "medium matched in an exploratory test" in sentence
    with Journal(tmp_path / "journal.jsonl") as journal:
        resumed = direct(tmp_path, journal)
        assert resumed.finished
        assert resumed.policy.sentence() == sentence


def test_the_teachers_progress_belongs_to_no_trial(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        director.next_job()
        director.progressed("teacher", {"step": 5, "total_steps": 10, "losses": {}})
        assert journal.records[-1].event.trial is None


def test_while_the_teacher_trains_everyone_waits(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        director.next_job()
        assert director.next_job() is WAIT


def test_a_teacher_that_only_guesses_ends_the_run_before_any_student(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        assert work_off(director, tmp_path, teacher=0.0) == ["teacher"]
        assert director.next_job() is FINISHED
        assert director.policy.outcome() == "uninformative_teacher"


def test_a_failing_trial_fails_alone(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        work_off(director, tmp_path, most=1)
        job = director.next_job()
        assert not isinstance(job, Idle)
        director.failed_job(job.id, "ValueError: no")
        work_off(director, tmp_path)
        failed = [r.event for r in journal.records if isinstance(r.event, TrialFailed)]
        assert [(event.trial, event.error) for event in failed] == [(job.id, "ValueError: no")]
        assert director.policy.outcome() == "match"


def test_settings_that_were_not_applied_fail_the_trial(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        work_off(director, tmp_path, most=1)
        job = director.next_job()
        assert not isinstance(job, Idle)
        director.finished_job(job.id, {**result(tmp_path, job), "settings_hash": "another"})
        event = journal.records[-1].event
        assert isinstance(event, TrialFailed)
        assert event.error == "the worker trained with other settings than asked"


def test_a_failing_teacher_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        director.next_job()
        with pytest.raises(RunError, match="teacher could not be prepared: OSError: gone"):
            director.failed_job("teacher", "OSError: gone")


def test_a_stopped_trial_is_journalled_with_its_step(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        work_off(director, tmp_path, most=1)
        job = director.next_job()
        assert not isinstance(job, Idle)
        director.progressed(job.id, {"step": 5, "total_steps": 10, "losses": {}})
        director.progressed(job.id, {"phase": "dev", "done": 3, "of": 9})
        told = journal.records[-1].event
        assert isinstance(told, TrialProgress)
        assert (told.step, told.total_steps, told.phase, told.done) == (5, 10, "dev", 3)
        director.stopped_job(job.id, "decided")
        stopped = [r.event for r in journal.records if isinstance(r.event, TrialStopped)]
        assert [(event.trial, event.step) for event in stopped] == [(job.id, 5)]


def test_sinks_see_what_the_journal_has(tmp_path: Path) -> None:
    seen: list[Any] = []
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, sinks=[seen.append])
        work_off(director, tmp_path)
        assert seen == journal.records
        kinds = {type(record.event) for record in seen}
        assert {TrialStarted, TrialFinished, SizeDecided} <= kinds


def test_audits_follow_the_verdicts_and_fail_alone(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, audits=True)
        jobs = work_off(director, tmp_path)
        due = [job for job in jobs if job.endswith("-audit")]
        assert due[:2] == ["teacher-audit", "small-c0-s0-audit"]
        assert jobs[-len(due) :] == due
    with Journal(tmp_path / "other.jsonl") as journal:
        director = direct(tmp_path, journal, audits=True)
        work_off(director, tmp_path, most=jobs.index(due[1]))
        director.next_job()
        director.failed_job("small-c0-s0-audit", "no luck")
        assert [director.next_job() for _ in due[1:]][-1] is WAIT  # the others are out
    with Journal(tmp_path / "other.jsonl") as journal:
        director = direct(tmp_path, journal, audits=True)
        assert work_off(director, tmp_path) == due[1:]  # the one that failed is repeated
        errors = [
            record.event.error
            for record in journal.records
            if isinstance(record.event, ModelAudited)
        ]
        assert errors[:3] == ["", "no luck", ""]
