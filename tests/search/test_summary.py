from __future__ import annotations

import json
from typing import Any

import pytest

from kdsearch.errors import ExitCode, RunError
from kdsearch.events import (
    Event,
    Record,
    RunFinished,
    RunStarted,
    TeacherReady,
    TrialFailed,
    TrialFinished,
    TrialStarted,
)
from kdsearch.search.confirm import confirm_event
from kdsearch.search.policy import Policy
from kdsearch.search.rules import Confirm, Rules, SizeCost, Train
from kdsearch.search.summary import exit_code, summarise

PLAN: dict[str, Any] = {
    "name": "quick",
    "sizes": [
        {
            "size": name,
            "parameters": parameters,
            "embedding_parameters": 10,
            "share_of_teacher": parameters / 400,
            "trial_flops": float(parameters),
        }
        for name, parameters in (("A", 100), ("B", 200), ("C", 400))
    ],
    "teacher": {"name": "scratch t5", "parameters": 400},
    "match": {"metric": "accuracy", "margin": 0.03, "confidence": 0.95},
    "splits": {"train": 9, "dev": 1000, "confirm": 2000},
    "cost": {"exhaustive_grid_flops": 2100.0},
    "smallest_supported_margin": {"confirm": {"0.08": 0.0177}},
}


def journal(missing: dict[str, int], *, finish: bool = True, fails: str = "") -> list[Record]:
    """Run a search in which each size misses so many of 1,000 items that the teacher has."""
    sizes = [SizeCost(size["size"], size["trial_flops"]) for size in PLAN["sizes"]]
    rules = Rules(margin=0.03, dev_items=1000, confirm_items=2000, configurations=2)
    policy, events = Policy(sizes, rules), list[Event]()

    def tell(event: Event) -> None:
        events.extend([event, *policy.apply(event)])

    tell(RunStarted(run="quick", plan=PLAN))
    chance = {"majority_score": 0.5, "p_value": 0.0}
    tell(
        TeacherReady(
            model="t",
            parameters=400,
            score=0.9,
            items=1000,
            chance=chance,
            informative=True,
            flops={},
        )
    )
    while not isinstance(job := policy.next_job(), str):
        if isinstance(job, Confirm):
            own, teacher = 1800 - 2 * missing[job.size], 1800
            student = [1.0] * own + [0.0] * (2000 - own)
            tell(confirm_event(policy, job.size, student, [1.0] * teacher + [0.0] * 200))
            continue
        assert isinstance(job, Train)
        place: dict[str, Any] = {"size": job.size, "trial": job.trial}
        place |= {"index": job.index, "seed": job.seed}
        tell(TrialStarted(**place, config={}))
        if job.size in fails:
            tell(TrialFailed(**place, error="ValueError: loss is not finite"))
            continue
        lost = missing[job.size] + (30 if job.index is None else 0)
        only: dict[str, Any] = {"student_only": 30, "teacher_only": 30 + lost}
        score, flops = 0.9 - lost / 1000, {"training": 100.0}
        tell(TrialFinished(**place, **only, config={}, score=score, items=1000, flops=flops))
    if finish:
        tell(RunFinished(outcome=policy.outcome(), sentence=policy.sentence()))
    return [Record(place, float(place), event) for place, event in enumerate(events)]


def test_a_match_is_selected_with_all_its_figures() -> None:
    summary = summarise(journal({"A": 200, "B": 5, "C": 0}))
    assert summary["outcome"] == "match"
    assert summary["selected"] == {
        "size": "B",
        "parameters": 200,
        "share_of_teacher": 0.5,
        "path": "students/B",
        "withheld": [],
    }
    below, matched, above = summary["sizes"]
    assert (below["verdict"], below["decided_on"], below["confirm"]) == ("no_match", "dev", None)
    assert (matched["best_trial"], matched["trials"]) == ("B-c0-s0", 2)
    assert matched["dev"] == {"score": pytest.approx(0.895), "n": 1000}
    assert matched["baseline"] == {"score": pytest.approx(0.865)}
    assert matched["confirm"]["difference"] == pytest.approx(-0.005)
    assert (above["verdict"], above["trials"]) == ("not_visited", 0)
    assert summary["teacher"]["confirm"]["score"] == pytest.approx(0.9)
    assert summary["trials"] == {"finished": 5, "stopped": 0, "failed": 0}
    assert summary["cost"]["share_of_grid"] == pytest.approx((3 * 100 + 2 * 200) / 2100)
    assert exit_code(summary) is ExitCode.MATCH


def test_the_summary_is_plain_json_and_survives_the_journal() -> None:
    records = journal({"A": 200, "B": 5, "C": 0})
    stored = [Record.from_json(json.loads(json.dumps(record.to_json()))) for record in records]
    assert json.loads(json.dumps(summarise(stored), allow_nan=False)) == summarise(records)


def test_an_unfinished_run_says_so() -> None:
    records = journal({"A": 200, "B": 5, "C": 0}, finish=False)
    summary = summarise(records[:6])
    assert (summary["outcome"], summary["sizes"][0]["verdict"]) == ("interrupted", "undecided")
    assert exit_code(summary) is ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("missing", "fails", "outcome", "code"),
    [
        (200, "", "no_match", ExitCode.NO_MATCH),
        (30, "", "undecided", ExitCode.NO_MATCH),
        (200, "C", "undecided", ExitCode.TRIALS_FAILED),
    ],
)
def test_exit_codes_without_a_match(missing: int, fails: str, outcome: str, code: ExitCode) -> None:
    summary = summarise(journal(dict.fromkeys("ABC", missing), fails=fails))
    assert (summary["outcome"], exit_code(summary)) == (outcome, code)
    assert summary["selected"] is None
    assert len(summary["failures"]) == (3 if fails else 0)


def test_a_margin_that_confirm_cannot_support_is_warned_of() -> None:
    records = journal({"A": 200, "B": 5, "C": 0})
    assert summarise(records)["warnings"] == []
    narrow = {**PLAN, "match": {**PLAN["match"], "margin": 0.01}}
    started = Record(0, 0.0, RunStarted(run="quick", plan=narrow))
    warning = summarise([started, *records[1:]])["warnings"][0]
    assert "2,000 confirm items support no margin below 1.6 points" in warning


def test_pauses_between_kill_and_resume_do_not_count() -> None:
    records = journal({"A": 200, "B": 5, "C": 0})
    resumed = Record(99, 1000.0, RunStarted(run="quick", plan=PLAN, resumed=True))
    last = Record(100, 1005.0, records[-1].event)
    cost = summarise([*records[:4], resumed, last])["cost"]
    assert cost["wall_seconds"] == pytest.approx(8.0)


def test_a_journal_without_its_plan_is_refused() -> None:
    with pytest.raises(RunError, match="no run_started"):
        summarise([])
