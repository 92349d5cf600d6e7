from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from kdsearch.report.tables import results_table, summary_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def drawn(renderable: RenderableType, width: int = 80) -> list[str]:
    stream = StringIO()
    Console(file=stream, width=width).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def words(lines: list[str], first: str) -> list[str]:
    """Return the words of the line that begins with one, its marker left out."""
    found = [line.lstrip("▸ ").split() for line in lines]
    return next(line for line in found if line[:1] == [first])


def test_80_columns_put_interval_and_bound_on_a_second_line(summary: dict[str, Any]) -> None:
    lines = drawn(summary_table(summary))
    row = "▸ 28k        28k  19%     0.911  0.929        0.921        -1.1  match"
    at = lines.index(row)
    assert lines[at + 1].split() == ["0.908-0.933", "≥", "-2.2"]


def test_a_wide_terminal_gets_a_line_a_size(summary: dict[str, Any]) -> None:
    row = words(drawn(summary_table(summary), 140), "28k")
    assert row[:7] == ["28k", "28k", "19%", "0.911", "0.929", "0.921", "0.908-0.933"]
    assert row[7:] == ["-1.1", "≥", "-2.2", "match"]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140])
def test_every_width_keeps_every_size_and_verdict(summary: dict[str, Any], width: int) -> None:
    lines = drawn(summary_table(summary), width)
    assert all(len(line) <= width for line in lines)
    for size, verdict in [("28k", "match"), ("19k", "undecided"), ("64k", "failed")]:
        assert verdict in words(lines, size)


def test_the_teacher_comes_first_then_sizes_downwards(summary: dict[str, Any]) -> None:
    names = [line[2:].split()[0] for line in drawn(summary_table(summary), 140)[5:] if line[2:]]
    assert names[:7] == ["teacher", "147k", "64k", "28k", "19k", "11k", "4k"]


def test_a_refusal_says_where_and_shows_its_upper_bound(summary: dict[str, Any]) -> None:
    refused = summary["sizes"][2]
    refused["verdict"] = "no_match"
    refused["confirm"] |= {"difference": -0.06, "upper_bound": -0.041}
    row = words(drawn(summary_table(summary), 140), "19k")
    assert " ".join(row[7:]) == "-6.0 ≤ -4.1 no match on confirm"


def test_sentence_costs_failures_and_warnings_follow(summary: dict[str, Any]) -> None:
    text = "\n".join(drawn(summary_table(summary), 200))
    assert summary["sentence"] in text
    assert "cost     21% of the exhaustive grid in 2 min 31 s; FLOPs: training 6.5e13" in text
    assert "trials   8 finished, 1 stopped, 1 failed" in text
    assert "failed   64k-c0-s0: ValueError: loss is not finite" in text
    assert "warning  confirm's 1,600 items support no margin below 2.2 points" in text


def test_many_failures_are_counted(summary: dict[str, Any]) -> None:
    summary["failures"] *= 7
    lines = drawn(summary_table(summary))
    assert "         and 2 more" in lines


def test_exact_counts_on_request(summary: dict[str, Any]) -> None:
    assert words(drawn(summary_table(summary, exact=True), 140), "28k")[1] == "28,416"


def test_a_retained_share_is_named_instead_of_a_margin(summary: dict[str, Any]) -> None:
    summary["match"] |= {"margin": None, "retain": 0.97}
    text = "\n".join(drawn(summary_table(summary), 200))
    assert "arithmetic: 97% of the teacher's accuracy at 95% confidence" in text
    assert "student minus 97% of the teacher on confirm" in text
    assert "A match needs a ≥ bound above 0.0." in text


def test_a_run_that_opened_no_confirm_explains_no_bound(summary: dict[str, Any]) -> None:
    summary["teacher"] |= {"parameters": None, "confirm": None}
    for size in summary["sizes"]:
        size |= {"confirm": None, "baseline": None, "verdict": "not_visited"}
    summary |= {"selected": None, "outcome": "uninformative_teacher", "failures": []}
    text = "\n".join(drawn(summary_table(summary), 200))
    assert "bound:" not in text
    assert "▸" not in text


def test_markup_in_a_name_is_not_read(summary: dict[str, Any]) -> None:
    summary["name"] = summary["sizes"][3]["size"] = "[red]28k[/nothing]"
    assert "[red]28k[/nothing]" in "\n".join(drawn(summary_table(summary), 200))


@pytest.mark.parametrize(("width", "differs"), [(80, False), (140, True)])
def test_runs_stand_side_by_side(summary: dict[str, Any], width: int, differs: bool) -> None:
    none = {**summary, "name": "trivia", "outcome": "uninformative_teacher", "selected": None}
    lines = drawn(results_table([summary, none]), width)
    row = words(lines, "arithmetic")
    assert (row[:2], row[-1]) == (["arithmetic", "match"], "02:31")
    assert ("-1.1" in row) is differs
    assert words(lines, "trivia")[1] == "uninformative"
