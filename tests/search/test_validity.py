"""A match by scores that an audit speaks against is withheld, or by --force flagged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import ExitCode
from kdsearch.events import Event, ModelAudited, Record, RunFinished, RunStarted
from kdsearch.report.rows import OUTCOMES
from kdsearch.report.tables import STYLES
from kdsearch.search.policy import Policy
from kdsearch.search.rules import Outcome
from kdsearch.search.shortcuts import blanked_figures
from kdsearch.search.summary import exit_code, summarise
from kdsearch.search.validity import Conclusion, conclude, not_looked_for, unread
from tests.search.scripted import LEVEL, RISING, RULES, SIZES, drive
from tests.search.test_summary import PLAN, journal

if TYPE_CHECKING:
    from kdsearch.search.rules import Rules


def audit(size: str | None, **found: Any) -> ModelAudited:
    return ModelAudited(size=size, trial=size and f"{size}-c0-s0", items=9, score=0.9, **found)


READS = {"reads": True, "full_score": 0.9, "score": 0.3}
UNREAD = {"reads": False, "full_score": 0.9, "score": 0.89}
COLLAPSES = {"collapses": True, "by_place": False, "score": 0.4}
BY_PLACE = {"collapses": False, "by_place": True, "score": 0.9, "same_place": 0.8, "agreement": 0.2}
ONE = {"answer": "b", "share": 0.97, "gold_share": 0.9}


@pytest.mark.parametrize(
    ("audits", "told"),
    [
        ([audit(None, blanked=READS), audit("E", blanked=READS)], []),
        ([audit(None, blanked=UNREAD)], ["the teacher is not shown to need the question on dev"]),
        ([audit("E", blanked=UNREAD)], ["E is not shown to need the question on dev (0.900 with"]),
        ([audit("E", permuted=COLLAPSES)], ["on dev E fails once the options change places (its"]),
        ([audit("E", permuted=BY_PLACE)], ["on dev E answers by place (permuted, 80% of"]),
        ([audit("E", most_frequent=ONE)], ["on dev E gives one answer (b to 97%, and 90% are so)"]),
        ([audit("D", permuted=COLLAPSES), audit("F", blanked=UNREAD)], []),
        ([audit(None, permuted=BY_PLACE)], []),
        ([audit("E", blanked={"score": 0.9})], []),  # of a journal of an older version
    ],
)
def test_what_withholds_a_match(audits: list[Event], told: list[str]) -> None:
    policy, log = finished(RULES, audits)
    found = conclude(policy, log)
    assert policy.outcome() == "match"
    assert len(found.withheld) == len(told)
    assert all(map(str.startswith, found.withheld, told))
    if not told:
        assert found == Conclusion(Outcome.MATCH, policy.sentence())
        return
    reasons = "; ".join(found.withheld)
    assert found.outcome == "withheld"
    assert found.sentence == (
        f"Match withheld: {reasons}; --force declares it all the same. "
        f"By scores alone: {policy.sentence()}"
    )
    policy, log = finished(replace(RULES, force=True), audits)
    forced = conclude(policy, log)
    assert (forced.outcome, forced.withheld) == ("match", found.withheld)
    assert forced.sentence == f"{policy.sentence()} Beware, a match by --force: {reasons}."


def finished(rules: Rules, audits: list[Event]) -> tuple[Policy, list[Event]]:
    """Return a search that found E to match, and its audits."""
    policy = Policy(SIZES, rules)
    return policy, [*drive(policy, RISING, LEVEL), *audits]


def test_without_a_match_nothing_is_withheld() -> None:
    policy = Policy(SIZES, RULES)
    log = drive(policy, RISING, dict.fromkeys(LEVEL, -0.2))
    found = conclude(policy, [*log, audit(None, blanked=UNREAD)])
    assert (found.outcome, found.withheld) == (policy.outcome(), ())


@pytest.mark.parametrize(
    ("outcome", "code"), [("withheld", ExitCode.NO_MATCH), ("match", ExitCode.MATCH)]
)
def test_a_summary_says_what_is_withheld(outcome: str, code: ExitCode) -> None:
    records = journal({"A": 200, "B": 5, "C": 0}, finish=False, fails="A")
    ended = RunFinished(outcome=outcome, sentence="So it is.", withheld=("it guesses",))
    summary = summarise([*records, Record(len(records), 99.0, ended)])
    assert (summary["outcome"], exit_code(summary)) == (outcome, code)
    assert summary["sentence"] == "So it is."
    assert (summary["selected"]["size"], summary["selected"]["withheld"]) == ("B", ["it guesses"])
    assert [size["withheld"] for size in summary["sizes"]] == [[], ["it guesses"], []]


def test_each_outcome_has_words_and_a_colour() -> None:
    assert {*Outcome} <= {*OUTCOMES}
    assert {*Outcome} <= {*STYLES}


@pytest.mark.parametrize(
    ("rules", "lost", "reads"),
    [
        (RULES, 0, False),
        (RULES, 30, False),  # at the margin
        (RULES, 45, False),  # beyond it, and not for sure
        (RULES, 60, True),
        (replace(RULES, margin=None, retain=0.5), 300, False),
        (replace(RULES, margin=None, retain=0.5), 500, True),
    ],
)
def test_a_model_reads_where_losing_the_question_costs_more_than_a_match_may_lose(
    rules: Rules, lost: int, reads: bool
) -> None:
    before = [1.0] * 700 + [0.0] * 300
    after = [1.0] * (640 - lost) + [0.0] * (60 + lost) + [1.0] * 60 + [0.0] * 240
    found = blanked_figures(after, before, rules)
    assert found["reads"] is reads
    assert (found["score"], found["full_score"]) == (pytest.approx(0.7 - lost / 1000), 0.7)
    assert found["lower_bound"] < found["difference"] < found["upper_bound"]


def test_items_of_one_unit_show_less_than_as_many_alone() -> None:
    before, after = [1.0] * 100, [0.0] * 20 + [1.0] * 80
    units = [f"u{at // 20}" for at in range(100)]
    assert blanked_figures(after, before, RULES)["reads"]
    assert not blanked_figures(after, before, RULES, units)["reads"]


def test_one_domain_whose_question_is_not_needed_is_named() -> None:
    blanked = {**UNREAD, "domains": {"one": READS, "two": UNREAD}}
    told = "is not shown to need the question on dev (0.900 with it, 0.890 without on two)"
    assert unread(audit("A", blanked=blanked)) == told


def test_what_was_not_looked_for_is_said_of_a_match() -> None:
    black_box = audit(None, not_blanked="a black box cannot be asked again")
    found = {None: black_box, "A": audit("A", blanked=READS)}
    assert [*not_looked_for(found, "A", {"audit": True})] == [
        "whether the teacher needs the question was not looked at: a black box cannot be asked "
        "again"
    ]
    assert [*not_looked_for({}, "A", {})] == []  # of an older version
    [line] = not_looked_for({}, "A", {"audit": False})
    assert line.endswith("search.audit is false")


def test_a_size_that_was_not_tested_has_nothing_withheld() -> None:
    records = [Record(0, 0.0, RunStarted(run="quick", plan=PLAN))]
    assert [size["withheld"] for size in summarise(records)["sizes"]] == [[], [], []]
