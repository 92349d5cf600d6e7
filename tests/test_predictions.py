"""A black box's answers: what a line may say, and each fault at its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.errors import DataError
from kdsearch.plugin import Example
from kdsearch.predictions import Predictions, option_named, predictions_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Written = Callable[..., Path]

FREE = Example("free", "1 + 1?", "2")
ASKED = Example("asked", "To whom?", 0, choices=("billing", "delivery", "returns"))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return a writer of lines, given as text or as data."""

    def write(*lines: Any) -> Path:
        file = tmp_path / "answers.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("\n".join(texts) + "\n", encoding="utf8")
        return file

    return write


@pytest.mark.parametrize(
    ("line", "text", "choice"),
    [
        ({"id": "free", "text": " 2\n"}, "2", None),
        ({"id": "asked", "choice": 1}, "delivery", 1),
        ({"id": "asked", "choice": "Returns "}, "returns", 2),
        ({"id": "asked", "choice": "b"}, "delivery", 1),
        ({"id": "asked", "text": "billing"}, "billing", 0),
    ],
)
def test_an_answer_is_read(written: Written, line: Any, text: str, choice: int | None) -> None:
    example = FREE if line["id"] == "free" else ASKED
    [read] = Predictions(written(line)).of([example])
    assert (read.id, read.text, read.choice, read.scores) == (line["id"], text, choice, ())


def test_scores_are_kept(written: Written) -> None:
    line = {"id": "asked", "choice": 0, "scores": [-0.1, -3, -4.5]}
    assert Predictions(written(line)).of([ASKED])[0].scores == (-0.1, -3.0, -4.5)


def test_answers_come_in_the_order_of_the_examples(written: Written) -> None:
    lines = [{"id": name, "text": name.upper()} for name in "abc"]
    examples = [Example(name, "?", "x") for name in "cab"]
    read = Predictions(written(*lines, "", {"id": "of no split", "text": "?"})).of(examples)
    assert [answer.text for answer in read] == ["C", "A", "B"]


@pytest.mark.parametrize(
    ("given", "choices", "index"),
    [
        ("A", ("B", "A"), 1),  # a text goes before a letter
        ("yes", ("yes", "Yes"), None),
        ("d", ("x", "y", "z"), None),
        ("", ("x", "y"), None),
        (-1, ("x", "y"), None),
        (2, ("x", "y"), None),
    ],
)
def test_which_option_is_named(given: Any, choices: tuple[str, ...], index: int | None) -> None:
    assert option_named(given, choices) == index


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("{", 2, "not valid JSON: Expecting property name"),
        ("[1]", 2, "not a JSON object"),
        ({"id": "x"}, 2, "give exactly one of text, choice"),
        ({"id": "x", "text": "a", "choice": 0}, 2, "give exactly one of text, choice"),
        ({"text": "a"}, 2, "missing key 'id'"),
        ({"id": "x", "txt": "a"}, 2, "unknown key 'txt': did you mean 'text'? allowed: choice, id"),
        ({"id": 7, "text": "a"}, 2, "id: should be a valid string, not 7"),
        ({"id": "x", "choice": 1.5}, 2, "choice: should be a valid integer or a valid string"),
        (
            '{"id": "x", "choice": 0, "scores": [NaN]}',
            2,
            "not valid JSON: NaN is no number of JSON",
        ),
        ({"id": "first", "text": "again"}, 2, "'first' is answered twice, first at line 1"),
    ],
)
def test_a_malformed_line_is_named(written: Written, line: Any, place: int, message: str) -> None:
    file = written({"id": "first", "text": "a"}, line)
    with pytest.raises(DataError) as caught:
        Predictions(file)
    assert str(caught.value).startswith(f"{file}:{place}: {message}"), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"id": "asked", "choice": "sales"},
            "'asked' is answered \"sales\", which is none of its options: "
            '"billing", "delivery", "returns" '
            "(an index from 0 to 2, an option's text, or its letter)",
        ),
        ({"id": "asked", "choice": 3}, "'asked' is answered 3, which is none of its options"),
        (
            {"id": "asked", "choice": 0, "scores": [-1, -2]},
            "'asked' has 2 scores and 3 options",
        ),
        ({"id": "free", "choice": 0}, "'free' has no options, and choice is given"),
        ({"id": "free", "text": "2", "scores": [-1]}, "'free' has no options, and scores is given"),
    ],
)
def test_an_answer_outside_the_options_is_refused(
    written: Written, line: Any, message: str
) -> None:
    file = written(line)
    example = FREE if line["id"] == "free" else ASKED
    with pytest.raises(DataError) as caught:
        Predictions(file).check({"dev": [example]})
    assert str(caught.value).startswith(f"{file}:1: {message}")


def test_missing_answers_are_counted(written: Written) -> None:
    file = written({"id": "a", "text": "1"}, {"id": "c", "text": "1"})
    dev, confirm = ([Example(name, "?", "1") for name in names] for names in ("ab", "cde"))
    with pytest.raises(DataError) as caught:
        Predictions(file).check({"dev": dev, "confirm": confirm})
    assert str(caught.value) == (
        f"{file}: 3 of 5 items have no answer, the first is 'b' of dev "
        "(a line for every item is needed, found by its id)"
    )


def test_missing_scores_are_counted_where_they_are_needed(written: Written) -> None:
    predictions = Predictions(written({"id": "asked", "choice": 0}))
    predictions.check({"train": [ASKED]})
    with pytest.raises(DataError, match=r"1 of 1 items have no scores, the first is 'asked' of tr"):
        predictions.check({"train": [ASKED]}, ["train"])


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\xff", "it is no UTF-8 text")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "answers.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        Predictions(file)
    assert str(caught.value) == f"{file}: cannot be read: {reason} (set teachers.0.predictions)"


def test_a_changed_file_is_another(written: Written) -> None:
    before = predictions_fingerprint(written({"id": "a", "text": "1"}))
    assert predictions_fingerprint(written({"id": "a", "text": "2"})) != before
