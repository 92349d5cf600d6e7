"""What the table says of terms that were left out."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.report.ablations import ablation_text
from kdsearch.report.rows import closing, notes

ABLATION: dict[str, Any] = {
    "term": "soft_labels", "size": "36k", "trial": "36k-c0-s0", "skipped": None,
    "score": 0.993, "score_without": 0.988, "difference": 0.005, "lower_bound": -0.002,
    "upper_bound": 0.012, "seeds": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("bounds", "said"), [((-0.2, 0.1), "undecided"), ((0.1, 0.2), "helps"), ((-0.2, -0.1), "harms")]
)
def test_bounds_decide_what_is_said(bounds: tuple[float, float], said: str) -> None:
    told = ablation_text({**ABLATION, "lower_bound": bounds[0], "upper_bound": bounds[1]})
    assert told.endswith(said)


def test_scores_difference_and_bounds_are_told() -> None:
    assert ablation_text(ABLATION) == (
        "36k without soft_labels: dev 0.988, with it 0.993; it adds +0.5 points, "
        "bounds -0.2 to +1.2: undecided"
    )


def test_a_term_that_stayed_says_why() -> None:
    told = ablation_text({**ABLATION, "skipped": "its weight is 0"})
    assert told == "soft_labels was not left out: its weight is 0"


def test_the_table_ends_with_ablations_and_explains_them(summary: dict[str, Any]) -> None:
    summary["ablations"] = [ABLATION]
    assert closing(summary)[0][0] == "ablation"
    assert any(line.startswith("ablation: the same student") for line in notes(summary))
