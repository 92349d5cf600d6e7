from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from benchmarks.domains import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_counts_what_a_domain_keeps_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"Who is number {n // 2}?", "answer": "Ada"} for n in range(40)]
    (tmp_path / "triviaqa").mkdir()
    file = tmp_path / "triviaqa" / "pool.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    monkeypatch.setattr(sys, "argv", ["domains", "--data", str(tmp_path), "--json"])
    main()
    found = json.loads(capsys.readouterr().out)
    assert (found["domain"], found["rows"], found["repeats"]) == ("trivia_qa", 40, 20)
    assert (found["train"], found["dev"], found["confirm"]) == (12, 3, 5)
    assert (found["majority"], found["primary"]) == (1.0, 1.0)
