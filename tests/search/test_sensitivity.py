"""A margin that guessing would match within is refused before any student trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdsearch.events import TeacherReady
from kdsearch.search.policy import Policy
from kdsearch.search.rules import FINISHED, Rules
from kdsearch.search.sensitivity import Sensitivity, sensitivity_of
from kdsearch.stats.chance import JudgedTeacher
from tests.search.scripted import RULES, SIZES

KEEP = replace(RULES, margin=None, retain=0.9)


def judged(**scores: float) -> JudgedTeacher:
    return JudgedTeacher({f"{way}_score": score for way, score in scores.items()}, True, {})


@pytest.mark.parametrize(
    ("rules", "score", "chance", "sensitive"),
    [
        (replace(RULES, margin=0.1), 0.6, {"majority": 0.49}, True),
        (replace(RULES, margin=0.1), 0.6, {"majority": 0.5}, False),
        (replace(RULES, margin=0.1), 0.6, {"majority": 0.2, "uniform": 0.5}, False),
        (replace(RULES, margin=0.1), 0.6, {}, True),
        (KEEP, 0.6, {"majority": 0.53}, True),
        (KEEP, 0.6, {"majority": 0.55}, False),
    ],
)
def test_what_a_match_may_lose_is_less_than_the_lead_over_guessing(
    rules: Rules, score: float, chance: dict[str, float], sensitive: bool
) -> None:
    assert sensitivity_of(judged(**chance), score, rules).sensitive is sensitive


def test_each_domain_has_its_own_lead() -> None:
    figures = {"one": {"score": 0.9, "uniform_score": 0.5}, "two": {"score": 0.6}}
    figures["two"]["uniform_score"] = 0.58
    found = sensitivity_of(JudgedTeacher({}, True, figures), 0.8, RULES)
    assert (found.domain, found.sensitive) == ("two", False)


def ready(found: Sensitivity, **changes: Any) -> TeacherReady:
    fields: dict[str, Any] = {"model": "t", "parameters": 9, "score": found.score, "items": 9}
    fields |= {"chance": {}, "informative": True, "flops": {}}
    fields |= {"sensitive": found.sensitive, "sensitivity": found._asdict()}
    return TeacherReady(**fields | changes)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (replace(RULES, margin=0.3), "match.margin must be below 0.12, or go on by --force."),
        (replace(KEEP, retain=0.5), "match.retain must be above 0.8065 (80.65% of"),
    ],
)
def test_an_insensitive_margin_ends_the_run_and_says_which_would_do(
    rules: Rules, told: str
) -> None:
    policy = Policy(SIZES, rules)
    policy.apply(ready(sensitivity_of(judged(majority=0.5), 0.62, rules)))
    assert policy.next_job() is FINISHED
    assert policy.outcome() == "insensitive_margin"
    assert {verdict.verdict for verdict in policy.verdicts()} == {"not_visited"}
    assert "only 12.0 points above guessing on dev (0.620 against 0.500)" in policy.sentence()
    assert told in policy.sentence()


def test_forced_it_goes_on() -> None:
    rules = replace(RULES, margin=0.3, force=True)
    policy = Policy(SIZES, rules)
    policy.apply(ready(sensitivity_of(judged(majority=0.5), 0.62, rules)))
    assert policy.next_job() is not FINISHED


def test_a_teacher_that_only_guesses_is_said_first() -> None:
    policy = Policy(SIZES, RULES)
    policy.apply(ready(Sensitivity(0.3, 0.5, 0.5), informative=False))
    assert policy.outcome() == "uninformative_teacher"
