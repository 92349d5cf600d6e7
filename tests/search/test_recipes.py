"""Claims beyond one checkpoint, one ladder and single items: seeds, growth, units."""

from __future__ import annotations

from dataclasses import replace

from kdsearch.events import (
    ConfirmTested,
    Event,
    Record,
    RunStarted,
    TrialFinished,
)
from kdsearch.search.confirm import confirm_event, recipe_event
from kdsearch.search.policy import Policy
from kdsearch.search.rules import WAIT, Confirm, Train
from tests.search.scripted import (
    LEVEL,
    RISING,
    RULES,
    SIZES,
    Script,
    confirm_answers,
    drive,
    ending,
)


def recipe_search(script: Script, confirm: float) -> tuple[Policy, list[Event]]:
    """Search a ladder of one size whose recipe is tested over three seeds."""
    policy = Policy(SIZES[:1], replace(RULES, seeds=3))
    log: list[Event] = []
    student, teacher = confirm_answers(confirm)
    while not isinstance(job := policy.next_job(), str):
        if isinstance(job, Train):
            event = ending(job, script.get((job.trial, None), 0.0))
        else:
            assert isinstance(job, Confirm)
            event = recipe_event(policy, job.size, [student] * len(job.seeds), teacher)
        log.extend([event, *policy.apply(event)])
    return policy, log


def test_a_recipe_is_tested_over_fresh_seeds_alone() -> None:
    policy, log = recipe_search({}, 0.0)
    assert policy.tests[0].seeds == 3
    trained = [event.trial for event in log if isinstance(event, TrialFinished)]
    assert trained == ["A-baseline-s0", "A-c0-s0", "A-c0-s1", "A-c0-s2", "A-c0-s3"]
    assert policy.outcome() == "match"
    resumed = Policy(SIZES[:1], replace(RULES, seeds=3))
    assert resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log)]) == []
    assert resumed.sentence() == policy.sentence()


def test_a_recipe_that_did_not_pass_on_dev_is_tested_over_fresh_seeds_too() -> None:
    policy, log = recipe_search({(f"A-c{at}-s0", None): -0.025 for at in range(3)}, 0.0)
    assert policy.verdicts()[0].decided_on == "confirm"
    assert policy.tests[0].seeds == 3
    trained = [event.trial for event in log if isinstance(event, TrialFinished)]
    assert [trial for trial in trained if trial and trial.endswith(("s1", "s2", "s3"))]


def test_a_killed_recipe_trains_only_the_seeds_that_it_lacks() -> None:
    _, log = recipe_search({}, 0.0)
    killed = next(place for place, event in enumerate(log) if event.trial == "A-c0-s1")
    resumed = Policy(SIZES[:1], replace(RULES, seeds=3))
    resumed.restore([Record(place, 0.0, event) for place, event in enumerate(log[: killed + 1])])
    job = resumed.next_job()
    assert isinstance(job, Train)
    assert job.trial == "A-c0-s2"
    assert isinstance(resumed.next_job(), Train)
    assert resumed.next_job() is WAIT


def test_a_recipe_whose_seeds_fail_stays_undecided() -> None:
    policy, _ = recipe_search({("A-c0-s2", None): None}, 0.0)
    assert policy.outcome() == "undecided"
    assert "1 of its 3 seeds failed" in policy.verdicts()[0].reason


def test_a_ladder_that_grew_after_confirm_was_opened_is_exploratory() -> None:
    log = drive(Policy(SIZES[3:5], RULES), RISING, {"D": 0.0, "E": -0.035})
    records = [Record(place, 0.0, event) for place, event in enumerate(log)]
    policy = Policy(SIZES[3:], RULES)
    due = policy.restore(records, changed=True)
    assert policy.exploratory
    log += [RunStarted(run="r", plan={"seed": 1}), *due]
    drive(policy, RISING, {**LEVEL, "E": -0.035}, log=log)
    verdicts = {verdict.size: verdict for verdict in policy.verdicts()}
    assert (verdicts["E"].verdict, verdicts["E"].exploratory) == ("undecided", False)
    assert (verdicts["F"].verdict, verdicts["F"].exploratory) == ("match", True)
    assert policy.outcome() == "undecided"
    assert "exploratory" in policy.sentence()
    assert sum(isinstance(event, ConfirmTested) for event in log) == 2
    again = Policy(SIZES[3:], RULES)
    started = [RunStarted(run="r", plan={"seed": 0}), *log]
    again.restore([Record(place, 0.0, event) for place, event in enumerate(started)])
    assert again.verdicts() == policy.verdicts()


def test_graded_scores_and_units_are_weighed_by_their_figures() -> None:
    policy = Policy(SIZES[:1], replace(RULES, configurations=1))
    figures = {"difference": -0.01, "deviation": 0.2, "items": 500}
    event = ending(Train("A-c0-s0", "A", 0, 0), -0.2)
    assert isinstance(event, TrialFinished)
    assert policy.apply(replace(event, paired=figures))[1].name == "confirm_opened"
    units = [place // 2 for place in range(2000)]
    tested = confirm_event(policy, "A", *confirm_answers(0.0), units=units)
    assert tested.verdict == "match"
