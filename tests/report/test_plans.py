from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from kdsearch.report.plans import plan_lines, plan_rows, plan_table


def drawn(plan: dict[str, Any], width: int) -> list[str]:
    stream = StringIO()
    Console(file=stream, width=width).print(plan_table(plan))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "line",
    [
        "arithmetic: accuracy within 3.0 points of the teacher at 95% confidence",
        "teacher     146,912           -        -        -     -",
        "28k          28,416       3,552      19%   2.8e13   10%",
        "train    4,224 items",
        "confirm  1,600 items support margins of 2.0, 2.8 or 3.8 points where 8, 16 or 30% of "
        "answers differ",
        "c1       soft_labels.weight 1.23, learning_rate 0.001",
        "warning  not smaller than the teacher: 147k",
    ],
)
def test_the_plan_says(plan: dict[str, Any], line: str) -> None:
    assert line in drawn(plan, 200)


def test_the_plan_says_what_was_left_out(plan: dict[str, Any]) -> None:
    plan["data"] = {"loaded": 2000, "deduplicated": 12, "leaked": 2, "unused": 300}
    told = "2,000 loaded, 14 copies left out, 2 of them leaks between splits"
    assert ("data", f"{told}, 300 asked for by no split") in plan_lines(plan)
    plan["data"] |= {"skipped": 3}
    skipped = "2,000 loaded, 3 malformed skipped, 14 copies left"
    assert any(line.startswith(skipped) for _, line in plan_lines(plan))
    near = {"dropped": "7", "question": "Up 3%", "kept": "9", "similarity": 0.85, "split": "dev"}
    plan["data"] |= {"near_duplicates": 4, "near_examples": [near]}
    lines = plan_lines(plan)
    assert any(
        "splits, 4 near-duplicates of dev or confirm dropped, 300" in line for _, line in lines
    )
    assert ("dropped", "7 'Up 3%' is 85% the same as 9 of dev") in lines


@pytest.mark.parametrize("width", [60, 80, 100])
def test_counts_are_exact_at_any_width(plan: dict[str, Any], width: int) -> None:
    lines = drawn(plan, width)
    assert all(len(line) <= width for line in lines)
    assert all(f"{row.parameters or 0:,}" in "\n".join(lines) for row in plan_rows(plan))


def test_sizes_share_the_grid(plan: dict[str, Any]) -> None:
    assert sum(row.share_of_grid or 0.0 for row in plan_rows(plan)) == pytest.approx(1.0)


def test_without_data_only_the_specs_own_numbers_are_told(plan: dict[str, Any]) -> None:
    plan["splits"] = {"train": None, "dev": None, "confirm": 1_600}
    plan["smallest_supported_margin"]["dev"] = None
    lines = dict(plan_lines(plan))
    assert lines["train"] == "unknown items"
    assert lines["dev"] == "items are not known before the data are there"
    assert lines["confirm"].startswith("1,600 items")


def test_many_configurations_are_counted(plan: dict[str, Any]) -> None:
    plan["configurations"] = [{} for _ in range(12)]
    lines = plan_lines(plan)
    assert ("c4", "as in the spec") in lines
    assert ("", "and 7 more configurations") in lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "top_logits: computed once and stored, at most 7.1 MB"),
        ({"most_bytes": None}, "computed once and stored, at most 1.7 kB a row"),
        ({"mode": "online"}, "top_logits: the teacher runs beside each student"),
        ({"mode": "auto"}, "or computed beside each student if that is more than cache.max_bytes"),
    ],
)
def test_the_plan_says_where_signals_are_kept(
    plan: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    signals = {
        "names": ["top_logits"],
        "mode": "cached",
        "bytes_a_row": 1700,
        "most_bytes": 7_100_000,
        "max_bytes": 20_000_000_000,
    }
    lines = dict(plan_lines({**plan, "signals": {**signals, **changes}}))
    assert line in lines["signals"]
