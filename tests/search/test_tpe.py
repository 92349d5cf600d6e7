from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.search.tpe import Tried, suggest
from kdsearch.spec.space import Choice, Grid, LogUniform, Space, Uniform, draw

pytest.importorskip("optuna")

SPACES: dict[str, Space] = {
    "weight": Uniform(uniform=(0.0, 2.0)),
    "rate": LogUniform(loguniform=(1e-5, 1e-3)),
    "layers": Choice(choice=("last", (0, 1), None)),
    "temperature": Grid(grid=(1, 2)),
}


def tried(differences: list[float | None]) -> list[Tried]:
    drawn = [draw({**SPACES, "temperature": Choice(choice=(1, 2))}, i, 0) for i in range(9)]
    return [Tried(*pair) for pair in zip(drawn, differences, strict=False)]


ended = st.lists(st.none() | st.floats(-0.5, 0.1), max_size=8)


@given(ended, st.text(max_size=5))
def test_a_suggestion_hangs_on_results_and_seed_alone(
    differences: list[float | None], seed: str
) -> None:
    first = suggest(SPACES, tried(differences), seed)
    assert first == suggest(SPACES, tried(differences), seed)
    assert 0.0 <= first["weight"] <= 2.0
    assert 1e-5 <= first["rate"] <= 1e-3
    assert first["layers"] in ("last", (0, 1), None)
    assert first["temperature"] in (1, 2)


def test_good_regions_are_suggested_more_often() -> None:
    spaces: dict[str, Space] = {"x": Uniform(uniform=(0.0, 1.0))}
    ended = [Tried({"x": place / 20}, -abs(place / 20 - 0.8)) for place in range(20)]
    near = [abs(suggest(spaces, ended, str(seed))["x"] - 0.8) < 0.2 for seed in range(40)]
    assert sum(near) > 25


def test_a_suggestion_after_another_differs() -> None:
    weights = {suggest(SPACES, tried([0.0] * count), "0")["weight"] for count in range(5)}
    assert len(weights) == 5
