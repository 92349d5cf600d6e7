from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kdsearch.errors import SpecError
from kdsearch.spec.document import override, parse_document, read_document

if TYPE_CHECKING:
    from pathlib import Path

names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def dumped(data: Any) -> str:
    stream = StringIO()
    yaml = YAML()
    yaml.allow_unicode = False
    yaml.dump(data, stream)
    return stream.getvalue()


@given(data=st.dictionaries(names, values, min_size=1), value=values, draw=st.data())
def test_set_equals_editing_the_file(data: dict[str, Any], value: Any, draw: st.DataObject) -> None:
    edited = parse_document(dumped(data), "f").data
    place, path = edited, []
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.draw(st.sampled_from(keys))
        path.append(str(key))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or draw.draw(st.booleans()):
            break
        place = inner
    place[key] = value
    quoted = ".".join(f'"{name}"' for name in path)
    changed = override(parse_document(dumped(data), "f"), f"{quoted}={dumped(value)}")
    assert changed.data == edited


def test_set_makes_what_is_not_there() -> None:
    document = override(parse_document("a: {b: }", "f"), "a.b.c=1e-4")
    assert override(document, "d=[1, x]").data == {"a": {"b": {"c": 1e-4}}, "d": [1, "x"]}


def test_set_leaves_the_places_of_other_keys() -> None:
    document = override(parse_document("a: 1\nb:\n  c: [1, 2]", "f"), "b.c.0=5")
    assert document.place(("b", "c", 1)) == "f:3:10"
    assert document.place(("b", "c", 0)) == "--set b.c.0=5"
    assert document.place(("a",), key=True) == "f:1:1"


def test_set_takes_the_places_of_what_it_replaces() -> None:
    document = override(parse_document("a:\n  b: 1", "f"), "a={c: 2}")
    assert document.place(("a", "b")) == document.place(("a", "c")) == "--set a={c: 2}"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("a", "write it as"),
        ("=1", "write it as"),
        ("a..b=1", "write it as"),
        ("a.2=1", "'a' has no item '2': 0 to 1"),
        ("a.x=1", "'a' has no item 'x'"),
        ("b.c=1", "'b' is 7 and has no key 'c'"),
        ("a=[1", "not valid YAML"),
    ],
)
def test_a_bad_set_names_itself(setting: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        override(parse_document("a: [1, 2]\nb: 7", "f"), setting)
    assert str(caught.value).startswith(f"--set {setting}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1_000", 1000), ("on", "on"), ("2020-01-01", "2020-01-01"), ("", None)],
)
def test_scalars_read_as_a_user_means_them(text: str, value: Any) -> None:
    data = parse_document(f"a: {text}", "f").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_keys_are_text() -> None:
    assert parse_document("{1: a, true: b, 1e5: c}", "f").data == {
        "1": "a",
        "true": "b",
        "1e5": "c",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "f:3:1: duplicate key 'a', first at f:1:1"),
        ("a:\n  b: [1", "f:2:8: not valid YAML"),
        ("a: !!python/object:os.system x", "f:1:4: not a plain value: 'x'"),
        ("a: .nan", "f:1:4: '.nan' is no finite number"),
        ("a: 1e999", "f:1:4: '1e999' is no finite number"),
        ("? [a]\n: 1", "f:1:3: a key must be a plain word"),
        ("a: &x [*x]", "too large once its aliases are followed"),
        ("[" * 3000, "nested too deeply"),
        ("a: 1\n---\nb: 2", "f:2:1: not valid YAML"),
        ("a: \0", "not valid YAML"),
    ],
)
def test_bad_text_is_refused_at_its_place(text: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_document(text, "f")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nested_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    with pytest.raises(SpecError, match="at most 100,000 values"):
        parse_document("\n".join(lines), "f")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such spec file"),
        (b"a: 1\nb: \xff\xfe", ":2: not UTF-8 text"),
        (b"#" * 1_000_001, "at most 1 MB"),
    ],
)
def test_a_file_that_is_no_spec_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "spec.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpecError, match=reason):
        read_document(file)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a folder"):
        read_document(tmp_path)
