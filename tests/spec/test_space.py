from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kdsearch.spec.space import Choice, Grid, LogUniform, Uniform, draw, is_space, parse_space

if TYPE_CHECKING:
    from kdsearch.spec.space import Space

bounds = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(
    lambda pair: pair[0] < pair[1]
)
spaces = st.one_of(
    st.lists(st.integers(), min_size=1, max_size=4).map(
        lambda values: Choice(choice=tuple(values))
    ),
    bounds.map(lambda pair: Uniform(uniform=pair)),
    bounds.map(lambda pair: LogUniform(loguniform=pair)),
)


@given(space=spaces, index=st.integers(0, 99), seed=st.integers(0, 99))
def test_a_value_stays_inside_its_space(space: Space, index: int, seed: int) -> None:
    value = draw({"x": space}, index, seed)["x"]
    if isinstance(space, Choice):
        assert value in space.choice
    else:
        assert min(space.edges) <= value <= max(space.edges)


@given(
    parts=st.dictionaries(st.text(max_size=3), spaces, min_size=1),
    more=spaces,
    index=st.integers(0, 9),
)
def test_adding_a_searched_value_leaves_the_others(
    parts: dict[str, Space], more: Space, index: int
) -> None:
    before = draw(parts, index, seed=1)
    after = draw({"added": more, **{f"old {key}": value for key, value in parts.items()}}, index, 1)
    again = draw({f"old {key}": value for key, value in parts.items()}, index, 1)
    assert {key: value for key, value in after.items() if key != "added"} == again
    assert draw(dict(reversed(parts.items())), index, seed=1) == before


def test_grids_walk_every_combination_once() -> None:
    grids: dict[str, Space] = {"a": Grid(grid=(1, 2)), "b": Grid(grid=("x", "y", "z"))}
    drawn = [tuple(draw(grids, index, seed=3).values()) for index in range(12)]
    assert len(set(drawn[:6])) == 6
    assert drawn[6:] == drawn[:6]


@pytest.mark.parametrize(
    ("raw", "space"),
    [
        ({"choice": [1, 2]}, True),
        ({"uniform": [0, 1]}, True),
        ({"choice": [1], "grid": [1]}, False),
        ({"unifrom": [0, 1]}, False),
        ([1, 2], False),
    ],
)
def test_a_space_is_one_key_that_names_a_form(raw: Any, space: bool) -> None:
    assert is_space(raw) is space
    assert (parse_space(raw) is raw) is not space


@pytest.mark.parametrize(
    "raw",
    [{"uniform": [1, 1]}, {"uniform": [0, float("inf")]}, {"loguniform": [0, 1]}, {"grid": []}],
)
def test_an_impossible_space_is_refused(raw: Any) -> None:
    with pytest.raises(ValidationError):
        parse_space(raw)
