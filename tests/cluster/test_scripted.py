"""Ray's searcher and the simulator drive the same policy: the same script, the same decisions."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.simulate_search import STEPS, confirm_answers, play, policy_for
from benchmarks.worlds import REPORTS, TEACHER, Counts, Setting, World
from kdsearch.cluster.searcher import DirectedSearcher
from kdsearch.cluster.trainable import MESSAGE
from kdsearch.events import ConfirmOpened, RunStarted, SizeDecided
from kdsearch.search.cost import Ledger
from kdsearch.search.director import Director
from kdsearch.search.journal import Journal
from kdsearch.stats.chance import Guesses

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.search.policy import Policy

SETTING = Setting(dev=400, confirm=800, margin=0.04)


def answered(path: Path, scores: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "\n".join(json.dumps({"id": str(at), "score": score}) for at, score in enumerate(scores)),
        encoding="utf8",
    )


def counted(counts: Counts) -> dict[str, Any]:
    score = TEACHER + (counts.student_only - counts.teacher_only) / SETTING.dev
    return {"score": score, "items": SETTING.dev, **counts._asdict()}


def messages(run: Path, world: World, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that a worker would report of a job, the result last."""
    if payload["kind"] == "teacher":
        answered(run / "teacher" / "dev.jsonl", [1.0] * SETTING.dev)
        score = {"score": TEACHER, "items": SETTING.dev}
        return [{"result": {**score, "parameters": 1, "flops": {}}}]
    if payload["kind"] == "confirm":
        student, teacher = confirm_answers(world, payload["size"], payload["trial"])
        answered(run / "trials" / payload["trial"] / "confirm.jsonl", student)
        answered(run / "teacher" / "confirm.jsonl", teacher)
        return [{"result": {"flops": {}}}]
    told: list[dict[str, Any]] = []
    counts, index = Counts(0, 0), payload["settings"]["index"]
    if index is not None:
        trial = world.trials[int(payload["size"])][index]
        counts = trial.dev
        for share, report in zip(REPORTS, trial.reports, strict=True):
            step = {"step": round(share * STEPS), "total_steps": STEPS, "losses": {}}
            told.append({"progress": {**step, **counted(report)}})
    others = {"settings_hash": "", "untrained_score": 0.0, "flops": {}, "seconds": 0.0}
    return [*told, {"result": {**counted(counts), **others}}]


def through_ray(run: Path, world: World, slots: int) -> Policy:
    """Call Tune's side of the searcher as Tune does, trials reporting in any order."""
    random, running, asked = Random(slots), dict[str, list[dict[str, Any]]](), 0
    with Journal(run / "journal.jsonl") as journal:
        policy = policy_for(world)
        director = Director(
            run=run,
            policy=policy,
            journal=journal,
            started=RunStarted(run="scripted", plan={}),
            configuration=lambda size, index, tried: {},
            settings=lambda index, drawn: {"index": index},
            settings_hash=lambda settings: "",
            guesses=lambda: Guesses([0.0] * SETTING.dev, []),
            teacher_name="scripted",
        )
        searcher = DirectedSearcher(director, perform="", locks=run, stall_timeout=30.0)
        while True:
            asked += 1
            given = searcher.suggest(f"tune{asked}") if len(running) < slots else None
            if isinstance(given, dict):
                running[f"tune{asked}"] = messages(run, world, given["job"]["payload"])
            elif given is not None and not running:
                break
            else:
                told = random.choice(list(running))
                report = {MESSAGE: json.dumps(running[told].pop(0))}
                if searcher.reported(told, report):
                    del running[told]
                    searcher.on_trial_complete(trial_id=told, result={}, error=False)
            assert searcher.fault is None
        decided = [record.event for record in journal.records]
        assert any(isinstance(event, SizeDecided) for event in decided)
        assert sum(isinstance(event, ConfirmOpened) for event in decided) <= 1
    return policy


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slots", [1, 4])
def test_the_same_script_gives_the_same_decisions(tmp_path: Path, seed: int, slots: int) -> None:
    simulated = policy_for(world := World(SETTING, seed))
    play(simulated, world, Ledger({size.name: 1.0 for size in simulated.sizes}, 1.0))
    policy = through_ray(tmp_path, world, slots)
    assert policy.verdicts() == simulated.verdicts()
    assert policy.sentence() == simulated.sentence()
