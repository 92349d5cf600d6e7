from __future__ import annotations

from typing import Any

import pytest

from kdsearch.plugin.faults import LONGEST, raised

PLUGIN = """
import json

def load():
    rows = ["x"]
    return [json.loads(row) for row in rows]

def fail():
    raise ValueError("two\\nlines")

def huge():
    raise ValueError("x" * 5000)
"""


def told(function: str) -> str:
    """Return what is told of a call into a plugin's code, in the file mine.py."""
    names: dict[str, Any] = {}
    exec(compile(PLUGIN, "mine.py", "exec"), names)
    try:
        names[function]()
    except Exception as error:
        return raised(error)
    pytest.fail("nothing was raised")


def test_the_place_is_the_plugins_own_line_and_not_a_librarys() -> None:
    assert told("load").startswith("json.decoder.JSONDecodeError: Expecting value")
    assert told("load").endswith(", at mine.py:6")


def test_it_is_one_line() -> None:
    assert told("fail") == "ValueError: two lines, at mine.py:9"


def test_a_text_that_holds_a_whole_file_is_cut() -> None:
    assert len(told("huge")) == LONGEST + len(", at mine.py:12")
