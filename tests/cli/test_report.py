from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Kd = Callable[..., Any]

RECORDED = Path(__file__).parents[2] / "benchmarks" / "recorded" / "quickstart"


def test_report_writes_one_page_and_says_where(kd: Kd, tmp_path: Path) -> None:
    ended = kd("report", RECORDED, "-o", tmp_path / "page.html")
    assert (ended.exit_code, ended.stdout) == (0, f"{tmp_path / 'page.html'}\n")
    assert "36k is the smallest student" in (tmp_path / "page.html").read_text(encoding="utf8")


def test_report_of_no_run_is_refused(kd: Kd, tmp_path: Path) -> None:
    ended = kd("report", tmp_path)
    assert ended.exit_code == 2
    assert "it holds no journal.jsonl" in ended.stderr


def test_report_into_no_folder_is_refused(kd: Kd, tmp_path: Path) -> None:
    ended = kd("report", RECORDED, "-o", tmp_path / "nowhere" / "page.html")
    assert ended.exit_code == 2
    assert (
        ended.stderr == f"error: {tmp_path / 'nowhere'}: there is no such folder (make it first)\n"
    )
