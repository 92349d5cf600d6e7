"""What a terminal would obey is shown, wherever it comes from."""

from __future__ import annotations

import json
import unicodedata
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from kdsearch.events import Record, TrialFailed
from kdsearch.report.drawing import Column, VisibleConsole, draw, labelled
from kdsearch.report.printer import printer_for
from kdsearch.report.visible import OBEYED, visible, visible_json

if TYPE_CHECKING:
    from rich.console import RenderableType

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp.exe\u200b\ud800\u2028\x7f"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp.exe\u200b\ud800\u2028\x7f"


def obeyed(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in OBEYED} - set("\n\t")


def test_every_kind_is_shown() -> None:
    assert visible(HOSTILE) == SHOWN


@given(st.text(st.characters(), min_size=1))
def test_nothing_else_changes(text: str) -> None:
    kept = [each for each in text if each not in obeyed(text)]
    assert not obeyed(visible(text))
    assert visible("".join(kept)) == "".join(kept)
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters()))
def test_json_reads_back_the_same(text: str) -> None:
    line = visible_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(line) == [text]
    assert not obeyed(line)


@pytest.mark.parametrize(
    "drawn",
    [
        Text(HOSTILE),
        labelled([(HOSTILE, HOSTILE)]),
        draw([Column[str]("name", str)], [HOSTILE]),
    ],
)
def test_a_terminal_gets_no_control_but_those_of_styles(drawn: RenderableType) -> None:
    stream = StringIO()
    VisibleConsole(file=stream, width=200, force_terminal=True, color_system=None).print(drawn)
    assert "gnp.exe" in stream.getvalue()
    assert not obeyed(stream.getvalue())


@pytest.mark.parametrize("display", ["plain", "rich", "jsonl"])
def test_displays_show_errors_as_they_are_written(display: str) -> None:
    stream = StringIO()
    event = TrialFailed(
        trial="t",
        size="s",
        index=None,
        seed=0,
        error=HOSTILE.replace("\u2028", "").replace("\r", ""),
    )
    with printer_for(display, stream) as printer:
        printer(Record(1, 1.0, event))
    assert "owned" in stream.getvalue()
    assert not obeyed(stream.getvalue())
