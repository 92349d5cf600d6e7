"""A fabricated run: a teacher of 147k, six sizes, one failure, a match at 28k after 19k missed."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.events import (
    Event,
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
from kdsearch.search.policy import (
    FINISHED,
    Confirm,
    Policy,
    Rules,
    SizeCost,
    Train,
    confirm_event,
)


def size(name: str, parameters: int, verdict: str, **others: Any) -> dict[str, Any]:
    """Return a size of a summary; what is not given is unknown."""
    unknown = {"decided_on": None, "exploratory": False, "trials": 0, "best_trial": None}
    unknown |= {"dev": None, "confirm": None, "baseline": None}
    counts = {"size": name, "parameters": parameters, "embedding_parameters": parameters // 8}
    return {**counts, "verdict": verdict, **unknown, **others}


def on_dev(score: float) -> dict[str, Any]:
    return {"score": score, "n": 800}


def on_confirm(score: float, difference: float, lower: float, upper: float) -> dict[str, Any]:
    return {
        "score": score,
        "n": 1600,
        "ci": [score - 0.013, score + 0.012],
        "difference": difference,
        "lower_bound": lower,
        "upper_bound": upper,
        "student_only": 41,
        "teacher_only": 58,
        "p_value": 0.004,
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    """Return a finished run's summary."""
    sizes = [
        size("4k", 4_128, "not_visited"),
        size("11k", 11_392, "no_match", decided_on="dev", trials=3, dev=on_dev(0.517)),
        size("19k", 19_264, "undecided", decided_on="confirm", trials=3, dev=on_dev(0.914)),
        size("28k", 28_416, "match", decided_on="confirm", trials=2, dev=on_dev(0.929)),
        size("64k", 64_000, "failed", trials=1),
        size("147k", 146_912, "not_visited"),
    ]
    sizes[1] |= {"best_trial": "11k-c1-s0", "baseline": {"score": 0.498}}
    sizes[2] |= {"best_trial": "19k-c0-s0", "baseline": {"score": 0.816}}
    sizes[2] |= {"confirm": on_confirm(0.908, -0.0234, -0.0381, -0.0091)}
    sizes[3] |= {"best_trial": "28k-c0-s0", "baseline": {"score": 0.911}}
    sizes[3] |= {"confirm": on_confirm(0.921, -0.0106, -0.0222, 0.0009)}
    teacher = {"name": "scratch t5", "parameters": 146_912, "dev": on_dev(0.933)}
    teacher |= {"confirm": {"score": 0.931, "n": 1600, "ci": [0.918, 0.943]}}
    teacher |= {"chance": {"majority_score": 0.081, "p_value": 1e-9}}
    supported = {"planned": 0.0218, "observed": 0.0191}
    return {
        "schema_version": 1,
        "name": "arithmetic",
        "outcome": "match",
        "sentence": "The smallest student that matches is 28k: 19% of the teacher's parameters, "
        "1.1 points below it on confirm and no more than 2.2 points at 95% confidence.",
        "teacher": teacher,
        "match": {
            "metric": "accuracy",
            "margin": 0.03,
            "confidence": 0.95,
            "smallest_supported_margin": supported,
        },
        "sizes": sizes,
        "selected": {
            "size": "28k",
            "parameters": 28_416,
            "share_of_teacher": 28_416 / 146_912,
            "path": "students/28k",
        },
        "cost": {
            "train_flops": 6.5e13,
            "teacher_flops": 1.2e13,
            "evaluation_flops": 3e12,
            "exhaustive_grid_flops": 3.1e14,
            "share_of_grid": 0.2097,
            "wall_seconds": 151.4,
        },
        "trials": {"finished": 8, "stopped": 1, "failed": 1},
        "failures": [{"trial": "64k-c0-s0", "error": "Traceback:\nValueError: loss is not finite"}],
        "warnings": ["confirm's 1,600 items support no margin below 2.2 points"],
    }


LADDER = {
    "4k": 4_128,
    "11k": 11_392,
    "19k": 19_264,
    "28k": 28_416,
    "64k": 64_000,
    "147k": 146_912,
}
STEPS = 1200
DEV = {"4k": 0.312, "11k": 0.517, "19k": 0.816, "28k": 0.929, "64k": 0.934, "147k": 0.935}
"""What a student of each size scores; the teacher scores .933."""


def plan() -> dict[str, Any]:
    """Return the plan of the fabricated run, as its journal opens with it."""
    whole = LADDER["147k"]
    grid = 3e9 * sum(LADDER.values())
    margins = {"0.08": 0.0198, "0.16": 0.028, "0.3": 0.0384}
    drawn = {"losses.soft_labels.weight": 1.234, "train.learning_rate": 0.005}
    return {
        "name": "arithmetic",
        "teacher": {"name": "scratch t5", "parameters": whole},
        "match": {"metric": "accuracy", "margin": 0.03, "retain": None, "confidence": 0.95},
        "strategy": "bisect",
        "seed": 0,
        "sizes": [
            {
                "size": name,
                "parameters": count,
                "embedding_parameters": count // 8,
                "share_of_teacher": count / whole,
                "trial_flops": 1e9 * count,
            }
            for name, count in LADDER.items()
        ],
        "configurations": [drawn, {**drawn, "train.learning_rate": 0.001}],
        "splits": {"train": 4_224, "dev": 800, "confirm": 1_600},
        "trials": 3 * len(LADDER),
        "steps": 3 * len(LADDER) * STEPS,
        "cost": {
            "exhaustive_grid_flops": grid,
            "teacher_flops": 1.1e13,
            "expected_flops": 0.2 * grid,
            "expected_share_of_grid": 0.2,
            "expected_sizes_visited": 2.57,
        },
        "smallest_supported_margin": {
            "dev": {share: 1.41 * margin for share, margin in margins.items()},
            "confirm": margins,
        },
        "warnings": ["not smaller than the teacher: 147k"],
    }


def searched(job: Train) -> dict[str, Any]:
    """Return what a trial's configuration draws."""
    if job.index is None:
        return {}
    return {"losses.soft_labels.weight": 1.234, "train.learning_rate": 0.005}


class Story:
    """Plays a search with made-up results through the real policy, two trials at a time."""

    def __init__(self) -> None:
        rules = Rules(margin=0.03, dev_items=800, confirm_items=1600, configurations=2)
        costs = [SizeCost(name, 1e9 * count) for name, count in LADDER.items()]
        self.policy = Policy(costs, rules, "c0ffee")
        self.records: list[Record] = []
        self.time = 1_000_000.0

    def add(self, event: Event, seconds: float = 0.0) -> None:
        """Write an event, and what the policy decides upon it."""
        self.time += seconds
        self.records.append(Record(len(self.records), self.time, event))
        for decision in self.policy.apply(event):
            self.records.append(Record(len(self.records), self.time, decision))

    def tell(self) -> list[Record]:
        """Return the whole journal."""
        self.add(RunStarted(run="runs/arithmetic", plan=plan()))
        chance = {"majority_score": 0.081, "p_value": 1e-9}
        flops = {"fine_tune": 1e13, "signals": 1e12, "evaluation": 1e11}
        self.add(
            TeacherReady(
                model="scratch t5",
                parameters=146_912,
                score=0.933,
                items=800,
                chance=chance,
                informative=True,
                flops=flops,
            ),
            41.0,
        )
        running: list[Train] = []
        while (job := self.policy.next_job()) is not FINISHED or running:
            if isinstance(job, Confirm):
                self.confirm(job)
            elif isinstance(job, Train):
                running.append(job)
                self.start(job)
                if len(running) < 2:
                    continue
            if running:
                self.train(running)
        outcome, sentence = str(self.policy.outcome()), self.policy.sentence()
        self.add(RunFinished(outcome=outcome, sentence=sentence, seconds=151.0), 1.0)
        return self.records

    def start(self, job: Train) -> None:
        """Start a trial."""
        self.add(
            TrialStarted(
                size=job.size, trial=job.trial, index=job.index, seed=0, config=searched(job)
            ),
            0.5,
        )

    def train(self, running: list[Train]) -> None:
        """Let the running trials go on together, and the first of them end."""
        for step in range(200, STEPS, 200):
            for job in running:
                self.add(self.progress(job, step), 1.1)
        self.finish(running.pop(0))

    def progress(self, job: Train, step: int) -> TrialProgress:
        """Report, and answer dev at half-time."""
        scores: dict[str, Any] = {}
        if step == STEPS // 2:
            scores = self.answers(job, 0.05)
        losses = {"loss": 2.0 / step**0.3, "loss_answer_ce": 1.0 / step**0.3}
        return TrialProgress(
            size=job.size,
            trial=job.trial,
            step=step,
            total_steps=STEPS,
            losses=losses,
            **scores,
        )

    def answers(self, job: Train, lower: float = 0.0) -> dict[str, Any]:
        """Return made-up answers to dev: the baseline is worse, each configuration alike."""
        score = DEV[job.size] - lower - (0.02 if job.index is None else 0.0)
        behind = round(800 * (0.933 - score))
        return {
            "score": score,
            "student_only": 20 + max(0, -behind),
            "teacher_only": 20 + max(0, behind),
            "items": 800,
        }

    def finish(self, job: Train) -> None:
        """End a trial; the first configuration of the 19k student fails."""
        told: dict[str, Any] = {"size": job.size, "trial": job.trial}
        told |= {"index": job.index, "seed": 0}
        reason = self.policy.stop_reason(job.trial)
        if job.trial == "19k-c0-s0":
            self.add(TrialFailed(**told, error="Traceback:\nValueError: loss is not finite"))
        elif reason:
            self.add(TrialStopped(**told, reason=reason, step=1000))
        else:
            flops = {"training": 1e9 * LADDER[job.size], "evaluation": 1e6}
            result = self.answers(job)
            self.add(
                TrialFinished(
                    **told,
                    config=searched(job),
                    flops=flops,
                    seconds=16.2,
                    untrained_score=0.02,
                    **result,
                ),
                1.0,
            )

    def confirm(self, job: Confirm) -> None:
        """Test a size on confirm."""
        gap = round(1600 * max(0.0, 0.933 - DEV[job.size]))
        theirs, neither = [0.0] * (40 + gap), [0.0] * 80
        both = [1.0] * (1600 - 40 - len(theirs) - len(neither))
        student = both + [1.0] * 40 + theirs + neither
        teacher = both + [0.0] * 40 + [1.0] * len(theirs) + neither
        self.add(confirm_event(self.policy, job.size, student, teacher), 2.0)


@pytest.fixture(name="plan")
def plan_fixture() -> dict[str, Any]:
    """Return a plan."""
    return plan()


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Return a finished run's journal."""
    return Story().tell()
