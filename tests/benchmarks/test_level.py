"""That the simulated levels are those of the package's own tests, and that a broken rule shows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from benchmarks import quick_tests
from benchmarks.level import Measured, line, measure
from benchmarks.level_designs import DESIGNS
from benchmarks.quick_tests import NOW, Method, former_test, installed
from kdsearch.search import confirm
from kdsearch.search.confirm import Scores, paired_test
from kdsearch.search.rules import Rules

if TYPE_CHECKING:
    from benchmarks.margin_worlds import Design

ROOT = Path(__file__).parents[2]
RULES = Rules(margin=0.1, dev_items=100, confirm_items=100)


def design(name: str) -> Design:
    return next(each for each in DESIGNS if each.name == name)


def drawn(random: Random, kind: str) -> tuple[Scores, Rules]:
    """Draw answers near the margin of 10 points, so that both verdicts occur."""
    count, seeds = 120, 3 if kind == "seeds" else 1
    teacher = [float(random.random() < 0.8) for _ in range(count)]
    lost = random.choice((0.0, 0.05, 0.2, 0.4))
    students = [[own * (random.random() >= lost) for own in teacher] for _ in range(seeds)]
    if kind == "graded":
        students = [[round(own * random.random() ** 0.02, 2) for own in students[0]]]
    units = [place // 3 for place in range(count)] if kind == "units" else None
    rules = replace(RULES, margin=None, retain=0.9) if kind == "retain" else RULES
    return Scores(students, teacher, units), rules


@pytest.mark.parametrize("kind", ["right", "retain", "graded", "units", "seeds"])
def test_quick_tests_decide_as_those_of_the_package(kind: str) -> None:
    random, verdicts = Random(0), set()
    for _ in range(15):
        scores, rules = drawn(random, kind)
        alpha = random.choice((0.05, 0.01))
        whole = confirm.verdict_of(paired_test(scores, rules, alpha), rules.bar)
        with installed(NOW):
            quick = confirm.verdict_of(paired_test(scores, rules, alpha), rules.bar)
        verdicts.add(whole)
        if kind == "seeds":  # of recipes a pass alone is decided
            assert (quick == "match") == (whole == "match")
        else:
            assert quick == whole
    assert "match" in verdicts
    assert len(verdicts) > 1


@pytest.mark.parametrize("name", [each.name for each in DESIGNS])
def test_every_design_can_be_searched(name: str) -> None:
    searches = 1
    found = measure(design(name), searches)
    assert 0 <= found.false <= found.opened <= searches
    assert line(name, found, None).startswith(name)


def test_the_same_searches_give_the_same_figures() -> None:
    one = design("7 sizes, two-sided, 100")
    assert measure(one, 40) == measure(one, 40)


T_TEST = Method((*NOW.patches, (confirm, "paired_test", former_test)))
"""A t-test in place of the test of a bounded mean."""

NOMINAL = (quick_tests, "_exact", lambda *_: True)
"""Tango's test as it was, which costs less."""

UNDIVIDED = Method((*NOW.patches, NOMINAL, (confirm.Level, "nominal", property(lambda _: 0.05))))
"""All of alpha anew at each look."""

NO_LEDGER = Method((*NOW.patches, NOMINAL), former=True)
"""All of alpha anew in each run."""

DEV_SEED = NO_LEDGER
"""The seed that dev chose by among those that confirm tests."""


@pytest.mark.parametrize(
    ("broken", "name", "searches"),
    [
        (T_TEST, "units, 2 items, whole ones lost, 100", 300),
        (T_TEST, "graded, partial losses, 100", 300),
        (UNDIVIDED, "--more x 2, reserve 0.3, 200 each", 200),
        (DEV_SEED, "3 seeds, 3.0 points apart, 500", 700),
        (NO_LEDGER, "5 runs on the same items, 300", 150),
    ],
)
def test_a_broken_rule_exceeds_the_limit(broken: Method, name: str, searches: int) -> None:
    one = design(name)
    if one.configurations > 1:
        one = replace(one, configurations=20)  # so that one of them passes on dev
    assert not measure(one, searches, broken).holds
    assert measure(one, searches // 3).holds


def test_the_limit_allows_two_errors() -> None:
    assert Measured(227, 4000).holds
    assert not Measured(228, 4000).holds


def test_the_command_says_which_designs_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks.level", "--searches", "5", "--only", "retain 98%"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == ""
    assert done.stdout.count("retain 98%") == 3
