from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.events import ConfirmOpened
from kdsearch.search.journal import Journal
from kdsearch.search.ledger import earlier_openings, reuse_warning

if TYPE_CHECKING:
    from pathlib import Path


def opened(run: Path, fingerprint: str) -> Path:
    run.mkdir()
    with Journal(run / "journal.jsonl") as journal:
        journal.append(ConfirmOpened(sizes=("A",), alphas=(0.05,), fingerprint=fingerprint))
    return run


def test_earlier_openings_of_the_same_items_are_found(tmp_path: Path) -> None:
    opened(tmp_path / "first", "items")
    opened(tmp_path / "other", "others")
    second = opened(tmp_path / "second", "items")
    (tmp_path / "no-run").mkdir()
    found = earlier_openings("items", tmp_path, but=second)
    assert [opening.run for opening in found] == ["first"]


def test_what_was_opened_after_the_run_itself_is_not_earlier(tmp_path: Path) -> None:
    first = opened(tmp_path / "first", "items")
    opened(tmp_path / "second", "items")
    assert earlier_openings("items", tmp_path, but=first) == []


def test_a_warning_names_a_few_runs_and_counts_the_rest() -> None:
    assert "by a, b, c and 2 more:" in reuse_warning(["a", "b", "c", "d", "e"])
    assert "by a:" in reuse_warning(["a"])


def test_a_torn_line_did_not_happen(tmp_path: Path) -> None:
    journal = opened(tmp_path / "torn", "items") / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    assert earlier_openings("items", tmp_path) == []
