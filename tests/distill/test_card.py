from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kdsearch.distill.card import licence_of, settings_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlanguage: en\n---\nlicense: no front matter", None),
        ("# A model\nlicense: mit\n", None),
    ],
)
def test_the_licence_is_that_of_the_front_matter(
    tmp_path: Path, text: str, licence: str | None
) -> None:
    (tmp_path / "README.md").write_text(text)
    assert licence_of(tmp_path) == licence


def test_a_folder_without_a_card_states_no_licence(tmp_path: Path) -> None:
    assert licence_of(tmp_path) is None


def test_settings_are_those_of_the_trial(tmp_path: Path) -> None:
    assert settings_of(tmp_path) == {}
    (tmp_path / "settings.json").write_text(json.dumps({"losses": {}}))
    assert settings_of(tmp_path) == {"losses": {}}
