from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kdsearch.events import ConfirmOpened, ConfirmTested
from kdsearch.plugin import Example
from kdsearch.search.journal import Journal
from kdsearch.search.ledger import ConfirmLedger, item_keys
from kdsearch.search.openings import RunOpenings
from kdsearch.search.policy import Policy
from tests.search.scripted import LEVEL, RISING, RULES, SIZES, drive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kdsearch.events import Event

ITEMS = item_keys(Example(str(place), f"Question {place}?", "x") for place in range(100))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunOpenings]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        ledger = ConfirmLedger(tmp_path / "confirm.jsonl")
        yield RunOpenings(ledger, journal, "id", "/run", ITEMS, 0.05, 0.1, None)


def search(run: RunOpenings, confirm: Mapping[str, float]) -> list[Event]:
    log = drive(Policy(SIZES, replace(RULES, reserve=0.1), "", run.spend), RISING, confirm)
    for event in log:
        run.journal.append(event)
    return log


def test_a_match_hands_back_all_but_what_smaller_sizes_lost(run: RunOpenings) -> None:
    search(run, {**LEVEL, "E": -0.05})
    assert run.ledger.available(ITEMS, 0.05) == pytest.approx(0.005)
    run.settle()
    assert run.ledger.available(ITEMS, 0.05) == pytest.approx(0.05 - 0.0225)


def test_a_search_without_a_match_loses_what_it_tested_at(run: RunOpenings) -> None:
    search(run, dict.fromkeys(LEVEL, -0.05))
    run.settle()
    assert run.ledger.available(ITEMS, 0.05) == pytest.approx(0.005)


def test_a_killed_run_spends_once_and_a_copy_with_other_results_again(run: RunOpenings) -> None:
    assert run.spend() == run.spend() == pytest.approx(0.045)
    with Journal(run.journal.path.with_name("copy.jsonl")) as journal:
        copy = replace(run, journal=journal)
        assert copy.spend() == pytest.approx(0.045)
        for event in drive(Policy(SIZES, RULES), RISING, LEVEL, jobs=3):
            journal.append(event)
        assert copy.spend() == pytest.approx(0.0045)
    other = replace(run, items=frozenset(list(ITEMS)[:50]))
    assert other.spend() < 0.001


def a_test(trial: str, verdict: str, alpha: float, *, exploratory: bool = False) -> ConfirmTested:
    return ConfirmTested(
        size="s", trial=trial, verdict=verdict, alpha=alpha, exploratory=exploratory,
        student_only=1, teacher_only=1, items=100, student_score=0.9, teacher_score=0.9,
        difference=0.0, lower_bound=-0.1, upper_bound=0.1, p_value=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(("trial", "exploratory"), [("c1", False), ("c0", True)])
def test_a_match_of_another_trial_or_an_exploratory_one_hands_nothing_back(
    run: RunOpenings, trial: str, exploratory: bool
) -> None:
    alpha = run.spend()
    run.journal.append(ConfirmOpened(sizes=("s",), alphas=(alpha,), fingerprint="", alpha=alpha))
    run.journal.append(a_test("c0", "no_match", alpha))
    run.journal.append(a_test(trial, "match", alpha, exploratory=exploratory))
    run.settle()
    lost = alpha * (2 if exploratory else 1)
    assert run.ledger.available(ITEMS, 0.05) == pytest.approx(max(0.05 - lost, 1e-9))
