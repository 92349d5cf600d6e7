from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kdsearch.spec.space import (
    Choice,
    Grid,
    LogUniform,
    Sampler,
    Uniform,
    draw,
    is_space,
    parse_space,
    radical_inverse,
)

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


@given(
    space=spaces,
    index=st.integers(0, 99),
    seed=st.integers(0, 99),
    sampler=st.sampled_from(Sampler),
)
def test_a_value_stays_inside_its_space(
    space: Space, index: int, seed: int, sampler: Sampler
) -> None:
    if sampler is Sampler.GRID and not isinstance(space, Choice):
        with pytest.raises(ValueError, match="x is an interval"):
            draw({"x": space}, index, seed, sampler)
        return
    value = draw({"x": space}, index, seed, sampler)["x"]
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


@given(seed=st.integers(0, 99), count=st.sampled_from([2, 4, 8, 16]))
def test_quasi_random_values_fill_every_cell_once(seed: int, count: int) -> None:
    spaces: dict[str, Space] = {"x": Uniform(uniform=(0.0, 1.0)), "y": Uniform(uniform=(0.0, 1.0))}
    drawn = [draw(spaces, index, seed, Sampler.QUASI_RANDOM)["x"] for index in range(count)]
    gaps = sorted((later - drawn[0]) % 1.0 for later in drawn)
    assert gaps == pytest.approx([place / count for place in range(count)])


def test_digits_are_mirrored_at_the_point() -> None:
    assert [radical_inverse(index, 2) for index in range(5)] == [0, 0.5, 0.25, 0.75, 0.125]
    assert radical_inverse(5, 3) == pytest.approx(2 / 3 + 1 / 9)


def test_grids_walk_every_combination_once() -> None:
    grids: dict[str, Space] = {"a": Grid(grid=(1, 2)), "b": Grid(grid=("x", "y", "z"))}
    drawn = [tuple(draw(grids, index, seed=3).values()) for index in range(12)]
    assert len(set(drawn[:6])) == 6
    assert drawn[6:] == drawn[:6]


def test_a_grid_sampler_walks_choices_too() -> None:
    spaces: dict[str, Space] = {"a": Choice(choice=(1, 2)), "b": Grid(grid=("x", "y", "z"))}
    drawn = [tuple(draw(spaces, index, 3, Sampler.GRID).values()) for index in range(6)]
    assert drawn == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


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
