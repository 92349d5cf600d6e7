"""The teacher's answers to confirm are checked before any student is tested on it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import RunError
from kdsearch.events import ConfirmChecked, ConfirmTested, Record, RunStarted
from kdsearch.search.answers import ItemScores, read_item_scores
from kdsearch.search.journal import Journal
from kdsearch.search.reliability import LEVEL, confirm_check
from kdsearch.search.replay import policy_of
from kdsearch.search.rules import FINISHED, Idle
from kdsearch.stats.chance import Guesses
from tests.search.test_director import ITEMS, RULES, direct, result, right, work_off, write

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.search.director import Director

UNIFORM = Guesses([1.0, 0.0, 0.0, 0.0] * (ITEMS // 4), [4] * ITEMS)


def answered(folder: Path, dev: float, confirm: float) -> tuple[ItemScores, ItemScores]:
    for split, share in (("dev", dev), ("confirm", confirm)):
        write(folder / f"{split}.jsonl", right(share))
    return read(folder)


def read(folder: Path) -> tuple[ItemScores, ItemScores]:
    return read_item_scores(folder / "dev.jsonl"), read_item_scores(folder / "confirm.jsonl")


@pytest.mark.parametrize(
    ("dev", "confirm", "reliable", "told"),
    [
        (0.9, 0.9, True, ""),
        (0.93, 0.86, True, ""),  # early stopping on dev, and luck
        (1.0, 0.26, False, "1.000 on dev and 0.260 on confirm, further apart than the 5.0 points"),
        (0.6, 0.9, False, "0.600 on dev and 0.900 on confirm, further apart"),
        (0.29, 0.27, False, "0.290 on dev and 0.270 on confirm, where guessing scores 0.250"),
    ],
)
def test_confirm_is_above_guessing_and_like_dev(
    dev: float, confirm: float, reliable: bool, told: str, tmp_path: Path
) -> None:
    check = confirm_check(*answered(tmp_path, dev, confirm), UNIFORM, RULES, {})
    assert check.reliable is reliable
    assert told in check.reason
    assert (check.score, check.dev_score, check.items) == (confirm, dev, ITEMS)


def test_a_share_to_retain_says_how_far_apart_is_too_far(tmp_path: Path) -> None:
    folder = answered(tmp_path, 0.8, 0.65)
    for retain, reliable in ((0.99, False), (0.8, True)):
        rules = replace(RULES, margin=None, retain=retain)
        assert confirm_check(*folder, UNIFORM, rules, {}).reliable is reliable


def test_items_of_one_unit_count_as_one(tmp_path: Path) -> None:
    folder = answered(tmp_path, 0.9, 0.75)
    units = {str(item): f"u{item // 20}" for item in range(ITEMS)}
    assert confirm_check(*folder, None, RULES, {}).p_value <= LEVEL
    assert confirm_check(*folder, None, RULES, units).p_value > LEVEL


def test_one_domain_that_is_unlike_dev_is_enough(tmp_path: Path) -> None:
    for split, second in (("dev", 0.9), ("confirm", 0.3)):
        scores = {f"one:{at}": score for at, score in enumerate(right(0.9))}
        scores |= {f"two:{at}": score for at, score in enumerate(right(second))}
        lines = [json.dumps({"id": item, "score": score}) for item, score in scores.items()]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    check = confirm_check(*read(tmp_path), None, RULES, {}, several=True)
    assert not check.reliable
    assert check.reason.startswith("the teacher scores 0.900 on dev and 0.300 on confirm of two")
    assert {label: one["reliable"] for label, one in check.domains.items()} == {
        "one": True,
        "two": False,
    }


def work(director: Director, run: Path, most: int = 99) -> list[str]:
    """Do jobs as `work_off`, with random labels in confirm."""
    done: list[str] = []
    while len(done) < most and not isinstance(job := director.next_job(), Idle):
        found = result(run, job)
        if job.payload["kind"] == "confirm":
            write(run / "teacher" / "confirm.jsonl", right(0.25))
        director.finished_job(job.id, found)
        done.append(job.id)
    return done


def events_of(journal: Journal, *kinds: type[Any]) -> list[Any]:
    return [record.event for record in journal.records if isinstance(record.event, kinds)]


def test_an_unreliable_confirm_tests_no_size(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        jobs = work(director, tmp_path)
        assert director.next_job() is FINISHED
        director.finish()
        assert jobs[-1] == "medium-c0-s0-confirm"
        assert events_of(journal, ConfirmTested) == []
        [check] = events_of(journal, ConfirmChecked)
        assert check.flops == {"evaluation": 1.0}
        names = [record.event.name for record in journal.records]
        assert names[-2:] == ["confirm_checked", "run_finished"]
        ended = journal.records[-1].event
        assert ended.outcome == "unreliable_data"  # type: ignore[attr-defined]  # `RunFinished`
        assert "check the labels of confirm" in ended.sentence.lower()  # type: ignore[attr-defined]
        assert not any(verdict.proves_a_match for verdict in director.policy.verdicts())


def test_forced_it_is_tested_all_the_same_and_the_match_is_flagged(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal, force=True)
        work(director, tmp_path)
        director.finish()
        assert len(events_of(journal, ConfirmTested)) == 1
        ended: Any = journal.records[-1].event
        assert ended.outcome == "match"
        assert ended.withheld[0].startswith("the teacher scores 0.900 on dev and 0.250 on confirm")
        assert ended.sentence.endswith(f"Beware, a match by --force: {ended.withheld[0]}.")


@pytest.mark.parametrize("force", [False, True])
def test_a_journal_cut_at_any_place_ends_alike(force: bool, tmp_path: Path) -> None:
    with Journal(tmp_path / "whole.jsonl") as journal:
        director = direct(tmp_path, journal, force=force)
        work(director, tmp_path)
        director.finish()
        whole = [record.event.name for record in journal.records]
        ended: Any = journal.records[-1].event
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    for cut in range(whole.index("confirm_opened"), len(lines)):
        (tmp_path / "cut.jsonl").write_text("".join(lines[:cut]))
        with Journal(tmp_path / "cut.jsonl") as journal:
            director = direct(tmp_path, journal, force=force)
            work(director, tmp_path)
            director.finish()
            last: Any = journal.records[-1].event
            names = [record.event.name for record in journal.records]
            assert (last.outcome, last.sentence) == (ended.outcome, ended.sentence)
            for once in ("confirm_checked", "confirm_tested"):
                assert names.count(once) == whole.count(once)


def test_a_test_after_a_refusal_does_not_follow(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        work(direct(tmp_path, journal, force=True), tmp_path)
        forged = list(journal.records)
    with (
        Journal(tmp_path / "other.jsonl") as journal,
        pytest.raises(RunError, match="confirm was not asked to test"),
    ):
        direct(tmp_path, journal).policy.restore(forged)


def test_a_journal_of_an_older_version_is_replayed(tmp_path: Path) -> None:
    with Journal(tmp_path / "whole.jsonl") as journal:
        work_off(direct(tmp_path, journal), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    older = [line for line in lines if line["event"] != "confirm_checked"]
    assert len(older) == len(lines) - 1
    assert all(line.pop("sum") for line in lines)
    told = [json.dumps({**line, "schema": 1, "sequence": n}) for n, line in enumerate(older)]
    (tmp_path / "older.jsonl").write_text("\n".join(told) + "\n")
    with Journal(tmp_path / "older.jsonl") as journal:
        assert direct(tmp_path, journal).policy.outcome() == "match"


def test_a_replay_takes_a_test_on_unreliable_data_for_forced() -> None:
    plan = {
        "sizes": [{"size": "A", "trial_flops": 1.0, "parameters": 10}],
        "match": {"margin": 0.03, "confidence": 0.95},
        "splits": {"dev": 10, "confirm": 20},
        "configurations": [{}],
        "strategy": "ascend",
        "seed": 3,
    }
    check = {"score": 0.3, "items": 9, "dev_score": 1.0, "chance": {}, "p_value": 0.0}
    tested: dict[str, Any] = dict.fromkeys(("student_only", "teacher_only", "items"), 1)
    tested |= dict.fromkeys(("student_score", "teacher_score", "difference"), 0.0)
    tested |= dict.fromkeys(("lower_bound", "upper_bound", "p_value"), 0.0)
    event = ConfirmTested(**tested, verdict="match")
    told = [RunStarted(run="r", plan=plan), ConfirmChecked(**check, reliable=False), event]  # type: ignore[arg-type]  # plain keyword values
    records = [Record(place, 0.0, each) for place, each in enumerate(told)]
    assert policy_of(records).rules.force
    assert not policy_of(records[:2]).rules.force


def test_confirm_is_checked_again_once_items_are_added(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        work_off(direct(tmp_path, journal, names=["small", "large"]), tmp_path)
        assert [check.items for check in events_of(journal, ConfirmChecked)] == [ITEMS]
    with Journal(tmp_path / "journal.jsonl") as journal:
        director = direct(tmp_path, journal)
        while not isinstance(job := director.next_job(), Idle):
            found = result(tmp_path, job)
            if job.payload["kind"] == "confirm":
                for folder in ("teacher", f"trials/{job.payload['trial']}"):
                    write(tmp_path / folder / "confirm.jsonl", [*right(0.9), *right(0.2)])
            director.finished_job(job.id, found)
        assert [check.items for check in events_of(journal, ConfirmChecked)] == [ITEMS, 2 * ITEMS]
        assert director.policy.outcome() == "unreliable_data"
