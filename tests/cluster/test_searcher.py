"""The searcher and the scheduler, called as Tune calls them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from kdsearch.cluster.searcher import DirectedSearcher, StopDecided
from kdsearch.cluster.trainable import MESSAGE
from kdsearch.errors import InconsistentDataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdsearch.search.director import Director

Begun = tuple[Any, DirectedSearcher]


@pytest.fixture
def begun(desk: Callable[..., Any], tmp_path: Path) -> Begun:
    """Return a desk, and its searcher that was asked for its two jobs, `a` and `b`."""
    director = desk({"a": {}, "b": {}})
    asked: Any = {"perform": "", "locks": tmp_path, "stall_timeout": 30.0}
    searcher = DirectedSearcher(cast("Director", director), **asked)
    for trial in ("first", "second"):
        assert searcher.suggest(trial)["job"]["payload"]
    return director, searcher


def report(kind: str, content: Any) -> dict[str, Any]:
    return {MESSAGE: json.dumps({kind: content})}


def test_a_report_is_passed_on_before_the_trial_may_be_stopped(begun: Begun) -> None:
    desk, searcher = begun
    assert not searcher.reported("first", report("progress", {"step": 1}))
    desk.stop["a"] = "futile"
    assert searcher.reported("first", report("progress", {"step": 2}))
    assert [told["step"] for told in desk.progress["a"]] == [1, 2]
    searcher.on_trial_complete("first")
    assert desk.stopped == {"a": "futile"}


def test_a_result_counts_although_its_trial_could_be_stopped(begun: Begun) -> None:
    desk, searcher = begun
    desk.stop["a"] = "decided"
    assert searcher.reported("first", report("result", 0.5))
    searcher.on_trial_complete("first")
    assert (desk.results, desk.stopped) == ({"a": 0.5}, {})


def test_a_useless_trial_whose_worker_dies_has_not_failed(begun: Begun) -> None:
    desk, searcher = begun
    desk.stop["a"] = "decided"
    searcher.died("first", "The actor died")
    searcher.on_trial_complete("first", error=True)
    assert (desk.stopped, desk.failed) == ({"a": "decided"}, {})


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        ("Worker exit type: SYSTEM_ERROR", "the process was killed or crashed"),
        ("Task was killed due to the node running low on memory.", "its node ran low on memory"),
        ("The actor died because its node has died.", "its node died"),
        ("Failure # 1 node has died Failure # 2 End of file", "the process was killed or crashed"),
    ],
)
def test_the_last_cause_of_death_is_told(begun: Begun, told: str, cause: str) -> None:
    desk, searcher = begun
    searcher.died("first", told)
    searcher.on_trial_complete("first", error=True)
    assert desk.failed == {"a": f"its worker died: {cause}"}


def test_a_fault_ends_tune_at_its_next_step(begun: Begun) -> None:
    _, searcher = begun
    assert searcher.reported("first", report("nonsense", None))
    with pytest.raises(KeyError):
        StopDecided(searcher).choose_trial_to_run(None)
    assert searcher.suggest("third") == DirectedSearcher.FINISHED


def test_other_data_than_the_driver_s_end_the_search(begun: Begun) -> None:
    desk, searcher = begun
    fault = {
        "kind": "InconsistentDataError",
        "message": "dev differs",
        "where": "domain 'toy'",
        "fix": "sort",
    }
    assert searcher.reported("first", report("fault", fault))
    assert isinstance(searcher.fault, InconsistentDataError)
    assert str(searcher.fault) == "domain 'toy': dev differs (sort)"
    assert searcher.suggest("third") == DirectedSearcher.FINISHED
    assert not desk.failed
