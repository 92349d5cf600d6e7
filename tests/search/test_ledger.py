from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from kdsearch.errors import RunError
from kdsearch.plugin import Example
from kdsearch.search.ledger import ConfirmLedger, default_path, item_keys, reuse_warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ITEMS = [Example(str(place), f"What is {place} plus {place}?", "x") for place in range(1000)]


def keys(first: int, last: int) -> frozenset[bytes]:
    return item_keys(ITEMS[first:last])


@pytest.fixture
def ledger(tmp_path: Path) -> ConfirmLedger:
    return ConfirmLedger(tmp_path / "state" / "confirm.jsonl")


def spend(ledger: ConfirmLedger, name: str, first: int = 0, last: int = 400) -> float:
    return ledger.open(name, f"/runs/{name}", keys(first, last), 0.05, 0.1)


def test_each_opening_of_the_same_items_spends_of_what_is_left(ledger: ConfirmLedger) -> None:
    assert spend(ledger, "a") == pytest.approx(0.045)
    assert spend(ledger, "b") == pytest.approx(0.0045)
    assert ledger.available(keys(0, 400), 0.05) == pytest.approx(0.0005)
    assert [opening.run for opening in ledger.earlier(keys(0, 400))] == ["/runs/a", "/runs/b"]


def test_no_number_of_openings_spends_more_than_alpha(ledger: ConfirmLedger) -> None:
    assert sum(spend(ledger, str(place)) for place in range(12)) <= 0.05 + 1e-8


def test_one_item_more_or_another_draw_is_the_same_evidence(ledger: ConfirmLedger) -> None:
    spend(ledger, "a", 0, 400)
    assert ledger.available(keys(0, 401), 0.05) < 0.006
    assert ledger.available(keys(0, 399), 0.05) < 0.006
    assert ledger.available(item_keys(Random(0).sample(ITEMS, 400)), 0.05) < 0.006
    assert ledger.available(keys(400, 800), 0.05) == 0.05


def test_items_are_known_by_what_they_ask() -> None:
    one = Example("1", "Which  is larger?", 0, choices=("a", "b"))
    two = Example("other", "which is larger", 1, choices=("b", "a"))
    assert item_keys([one]) == item_keys([two])


def test_what_was_not_spent_in_the_end_is_handed_back(ledger: ConfirmLedger) -> None:
    spend(ledger, "a")
    ledger.settle("a", "/runs/a", 0.02)
    assert ledger.available(keys(0, 400), 0.05) == pytest.approx(0.03)
    ledger.settle("a", "/runs/a", 0.0)
    ledger.settle("a", "/copies/a", 0.05)
    assert len(ledger.path.read_text().splitlines()) == 3
    assert spend(ledger, "b") == pytest.approx(0.045)


def test_an_opening_is_recorded_once(ledger: ConfirmLedger) -> None:
    assert spend(ledger, "a") == spend(ledger, "a")
    assert len(ledger.path.read_text().splitlines()) == 1


def test_families_do_not_share(ledger: ConfirmLedger) -> None:
    spend(ledger, "a")
    assert ledger.available(keys(0, 400), 0.05, "another question") == 0.05


def test_a_torn_line_did_not_happen_and_a_malformed_one_is_named(ledger: ConfirmLedger) -> None:
    spend(ledger, "a")
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-9])
    assert ledger.earlier(keys(0, 400)) == []
    assert spend(ledger, "b") == pytest.approx(0.045)
    assert [each.id for each in ledger.earlier(keys(0, 400))] == ["b"]
    ledger.path.write_bytes(b"{}\n" + whole)
    with pytest.raises(RunError, match=r"confirm\.jsonl:1: malformed"):
        ledger.earlier(keys(0, 400))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="XDG_STATE_HOME"):
        ConfirmLedger(tmp_path / "file" / "confirm.jsonl").check_writable()


def test_the_ledger_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "kdsearch" / "confirm.jsonl"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path().is_relative_to(tmp_path / ".local" / "state")


def test_a_relative_state_folder_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local" / "state" / "kdsearch" / "confirm.jsonl"


def test_an_unknown_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", unknown)
    with pytest.raises(RunError, match="set XDG_STATE_HOME"):
        ConfirmLedger()


def test_a_lock_that_stays_is_named(ledger: ConfirmLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.check_writable()
    monkeypatch.setattr("kdsearch.search.ledger.LOCKED", 0.1)
    waiting = ConfirmLedger(ledger.path)
    with (
        FileLock(ledger.path.with_suffix(".lock")),
        pytest.raises(RunError, match=r"confirm\.lock: .* locked .*stop the process"),
    ):
        spend(waiting, "a")


@pytest.mark.parametrize("call", ["earlier", "open", "settle"])
def test_what_the_disk_refuses_is_told(ledger: ConfirmLedger, call: str) -> None:
    ledger.path.mkdir(parents=True)
    ask: dict[str, Callable[[], object]] = {
        "earlier": lambda: ledger.earlier(keys(0, 9)),
        "open": lambda: spend(ledger, "a"),
        "settle": lambda: ledger.settle("a", "/runs/a", 0.0),
    }
    with pytest.raises(RunError, match=r"confirm\.jsonl: the ledger .* cannot be .*directory"):
        ask[call]()


def test_a_full_disk_is_told(ledger: ConfirmLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        spend(ledger, "a")


def test_a_warning_names_a_few_runs_and_counts_the_rest() -> None:
    assert "by a, b, c and 2 more:" in reuse_warning(list("abcde"), 0.0005, 0.05)
    assert "0.0005 of the 0.05" in reuse_warning(["a"], 0.0005, 0.05)
