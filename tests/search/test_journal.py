from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import RunError
from kdsearch.events import RunFinished, TrialProgress
from kdsearch.search.journal import Journal, read

if TYPE_CHECKING:
    from pathlib import Path

PROGRESS = TrialProgress(size="6M", trial="6M-c0-s0", step=1, total_steps=9, losses={"kl": 0.5})


def written(path: Path, count: int = 2) -> Path:
    with Journal(path) as journal:
        for _ in range(count):
            journal.append(PROGRESS)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        appended = [journal.append(PROGRESS), journal.append(RunFinished(outcome="m", sentence=""))]
        assert read(path) == appended
    assert [record.sequence for record in read(path)] == [0, 1]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(RunError, match="in use by another process"):
        Journal(path)
    Journal(path).close()


@pytest.mark.parametrize("tail", [b'{"schema": 2, "sequ', b"\0\0\0\0", b"{}"])
def test_a_torn_tail_is_left_out_and_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path / "journal.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert len(read(path)) == 2
    with Journal(path) as journal:
        assert path.read_bytes() == whole
        assert journal.append(PROGRESS).sequence == 2
    assert len(read(path)) == 3


def test_a_whole_line_without_its_end_did_not_happen(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read(path)) == 1
    with Journal(path) as journal:
        assert journal.append(PROGRESS).sequence == 1
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b'{"schema": 9, "event": "run_finished"}\n', b"[]\n", b"\n"]
)
def test_a_corrupt_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path / "journal.jsonl")
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(RunError, match=r"journal\.jsonl:1: damaged line"):
        read(path)
    with pytest.raises(RunError, match="damaged line"):
        Journal(path)
    with pytest.raises(RunError, match="damaged line"):  # the lock was given back
        Journal(path)


def test_a_lost_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl", 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(RunError, match=r":2: damaged line: sequence 2 instead of 1"):
        read(path)


def test_no_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run directory"):
        read(tmp_path / "journal.jsonl")


def test_not_a_number_stays_out(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(TrialProgress(step=1, total_steps=2, losses={"kl": math.nan}))
        with pytest.raises(ValueError, match="score is nan"):
            journal.append(TrialProgress(step=1, total_steps=2, score=math.nan))
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["losses"] for line in lines] == [{"kl": None}]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(path) as journal:
        journal.append(PROGRESS)
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(RunError, match="No space left"):
            journal.append(PROGRESS)
        monkeypatch.undo()
        journal.append(PROGRESS)
    assert [record.sequence for record in read(path)] == [0, 1]
