"""Near-duplicates on the command line: what plan tells of them, and what runs do with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.plugin.host import Host
from kdsearch.questions import questions_of
from kdsearch.spec.models import Splits
from kdsearch.splits import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

PLUGIN = """
from toy_domain import *

class Posts(Toy):
    name = "posts"

    def load(self, options):
        for number in range(300):
            words = [f"{number}{letter}" for letter in "abcdefghijkl"]
            yield Example(str(number), " ".join(words), "yes")
            if number % 5 == 0:
                yield Example(f"{number} again", " ".join([*words[:-1], "z"]), "yes")

class Templates(Posts):
    name, generated = "templates", True

@hookimpl
def kdsearch_domains():
    return [Posts(), Templates()]
"""
ROOM = ("--set", "prompt.max_tokens=64")


@pytest.fixture
def posts(tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "posts.py").write_text(PLUGIN)
    return tmp_path / "posts.py"


@pytest.mark.parametrize(
    ("domain", "setting", "dropped"),
    [
        ("posts", "auto", True),
        ("posts", "keep", False),
        ("templates", "auto", False),
        ("templates", "drop", True),
    ],
)
def test_plan_tells_which_near_duplicates_are_dropped(
    kd: Kd, posts: Path, toy_spec: Path, domain: str, setting: str, dropped: bool
) -> None:
    settings = (f"domain.name={domain}", f"splits.near_duplicates={setting}")
    given = [word for each in settings for word in ("--set", each)]
    asked = ("plan", toy_spec, "--plugin", posts, *ROOM, *given)
    ended = kd(*asked, "--json")
    assert ended.exit_code == 0, ended.stderr
    plan = ended.json
    data, items = plan["data"], plan["items"]
    assert (data["near_duplicates"] > 0) is dropped
    assert len(data["near_examples"]) == (3 if dropped else 0)
    assert (items["dev"], items["confirm"]) == (60, 120)
    assert sum(items.values()) == 360 - data["near_duplicates"]
    shown = kd(*asked).stdout
    assert ("near-duplicates of dev or confirm dropped" in shown) is dropped
    assert ("% the same as" in shown) is dropped


@pytest.mark.parametrize("setting", ["auto", "keep"])
def test_questions_outside_of_a_search_are_those_of_the_search(posts: Path, setting: str) -> None:
    domain = Host([posts]).domain("posts")
    splits = Splits.model_validate({"dev": 60, "confirm": 120, "near_duplicates": setting})
    options = domain.Options()
    assigned = load(domain, options).divide(splits, 0).splits
    for split in ("dev", "train"):
        asked = questions_of(domain, options, split, splits=splits)
        assert asked.examples == getattr(assigned, split)
    everything = questions_of(domain, options, "all", splits=splits).examples
    assert {*everything}.isdisjoint(assigned.confirm)
    assert len(everything) == 360 - 120


def test_an_unknown_treatment_is_refused(kd: Kd, posts: Path, toy_spec: Path) -> None:
    ended = kd("plan", toy_spec, "--set", "splits.near_duplicates=maybe")
    assert ended.exit_code == 2
    assert "unknown value 'maybe'" in ended.stderr
    assert all(word in ended.stderr for word in ("splits.near_duplicates", "auto", "keep", "drop"))


def test_a_run_of_before_keeps_what_it_kept(
    kd: Kd, posts: Path, toy_spec: Path, tmp_path: Path, run_here: None
) -> None:
    """A run and a student whose files do not know the key are of a search that dropped nothing."""
    folder = tmp_path / "run"
    settings = (
        *("domain.name=posts", "splits.near_duplicates=keep", "search.configurations_per_size=1"),
        *("match.margin=0.9", "teachers.0.fine_tune.max_steps=2", "train.max_steps=2"),
        "ladder.sizes={small: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}",
    )
    asked = [word for setting in settings for word in ("--set", setting)]
    where = ("--plugin", posts, "--run-dir", folder, "--display", "none", "--force")
    ended = kd("run", toy_spec, *where, *ROOM, *asked)
    assert ended.exit_code in (0, 1), ended.stderr
    manifest = json.loads((folder / "manifest.json").read_text())
    del (
        manifest["sha256"],
        manifest["inputs"],
        manifest["spec"]["stages"][0]["splits"]["near_duplicates"],
    )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    spec = (folder / "spec.yaml").read_text().splitlines()
    kept = [line for line in spec if "near_duplicates" not in line]
    assert len(kept) == len(spec) - 1
    (folder / "spec.yaml").write_text("\n".join(kept))
    (folder / "summary.json").unlink()
    resumed = kd("resume", folder, "--display", "none")
    assert resumed.exit_code == ended.exit_code, resumed.stderr
    assert "near_duplicates: keep" in (folder / "spec.yaml").read_text()
