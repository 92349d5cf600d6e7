from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdsearch.errors import ExitCode, InconsistentDataError, PluginError
from kdsearch.inputs.consistency import changes, check_consistent, input_hashes
from kdsearch.plugin import Example, Prompt

EXAMPLES = [Example(str(place), f"{place}?", "yes") for place in range(100)]


class Asked:
    name = "asked"

    def __init__(self, cue: str = "A:", classes: tuple[str, ...] = ("glad", "sad")) -> None:
        self.cue, self.named = cue, classes

    def format(self, example: Example, options: Any) -> Prompt:
        return Prompt(target="yes", text=f"{example.question} {self.cue}")

    def classes(self, options: Any) -> tuple[str, ...]:
        return self.named


def hashes(examples: list[Example] = EXAMPLES, split: str = "dev", **domain: Any) -> dict[str, str]:
    asked: Any = Asked(**domain)
    return input_hashes(asked, None, {split: examples})


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (hashes(), []),
        (hashes(EXAMPLES[::-1]), ["dev differs (the same examples in another order)"]),
        (hashes(cue="Answer:"), ["dev differs (other prompts)"]),
        (hashes(classes=("sad", "glad")), ["classes differ (others, or in another order)"]),
    ],
)
def test_what_differs_is_named(found: dict[str, str], told: list[str]) -> None:
    assert changes(hashes(), found) == told
    assert changes({}, found) == []  # an old manifest


def test_other_content_is_told_and_not_what_follows_from_it() -> None:
    other = [replace(EXAMPLES[0], id="new"), *EXAMPLES[1:]]
    assert changes({"dev": "1", **hashes()}, {"dev": "2", **hashes(other)}) == [
        "dev differs (other examples)"
    ]
    assert changes({"predictions": "1"}, {"predictions": "2"}) == ["predictions differ"]


def test_prompts_of_confirm_are_not_made() -> None:
    assert hashes(split="confirm").keys() == {"confirm.order", "classes"}


def test_it_is_the_plugin_that_is_at_fault() -> None:
    with pytest.raises(InconsistentDataError, match=r"asked.*a worker: dev differs") as raised:
        check_consistent("asked", {"dev": "1"}, {"dev": "2"}, "a worker")
    assert raised.value.exit_code is ExitCode.PLUGIN
    with pytest.raises(PluginError, match="format or classes raised"):
        input_hashes(Asked(cue=None), 1, {"dev": [None]})  # type: ignore[arg-type,list-item]
