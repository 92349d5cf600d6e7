from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.py"
    file.write_text("import no_such_module")
    return file


def test_plugins_alone_lists(kd: Kd, toy_plugin: Path) -> None:
    alone, listed = (
        kd("plugins", "--plugin", toy_plugin),
        kd("plugins", "list", "--plugin", toy_plugin),
    )
    assert alone.stdout == listed.stdout
    assert "soft_labels" in alone.stdout
    assert "toy_evaluate" in alone.stdout
    assert not any(line.endswith(" ") for line in alone.stdout.splitlines())


def test_the_list_as_data(kd: Kd, toy_plugin: Path) -> None:
    listed = kd("plugins", "--json", "--plugin", toy_plugin).json
    assert set(listed) == {"domains", "losses", "ladders", "problems"}
    toy = next(domain for domain in listed["domains"] if domain["name"] == "toy")
    assert toy == {
        "name": "toy",
        "version": "1",
        "plugin": "toy_domain",
        "distribution": str(toy_plugin),
    }
    assert {loss["name"] for loss in listed["losses"]} >= {"answer_ce", "soft_labels", "hidden_mse"}
    assert {ladder["name"] for ladder in listed["ladders"]} >= {"scratch"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("soft_labels", ["loss soft_labels", "top_logits", "temperature", "Softens both"]),
        ("scratch", ["ladder scratch", "family", "required"]),
        ("toy", ["domain toy", "accuracy", "largest", "16"]),
    ],
)
def test_show_tells_the_options(kd: Kd, toy_plugin: Path, name: str, words: list[str]) -> None:
    ended = kd("plugins", "show", name, "--plugin", toy_plugin)
    assert all(word in ended.stdout for word in words)
    assert kd("plugins", "show", name, "--plugin", toy_plugin, "--json").json[0]["name"] == name


def test_show_of_an_unknown_name(kd: Kd) -> None:
    ended = kd("plugins", "show", "soft_label")
    assert ended.exit_code == 2
    assert "did you mean 'soft_labels'?" in ended.stderr


def test_options_before_a_subcommand_are_refused_and_not_lost(kd: Kd, broken: Path) -> None:
    ended = kd("plugins", "--plugin", broken, "check")
    assert ended.exit_code == 2
    assert ended.stderr.startswith("error: options come after `plugins check`")


def test_check_of_sound_plugins(kd: Kd, toy_plugin: Path) -> None:
    ended = kd("plugins", "check", "--plugin", toy_plugin)
    assert (ended.exit_code, ended.stdout) == (0, "all plugins are sound\n")


def test_check_names_a_broken_plugin_and_ends_with_3(kd: Kd, broken: Path) -> None:
    ended = kd("plugins", "check", "--plugin", broken)
    assert ended.exit_code == 3
    assert "problem: plugin 'broken'" in ended.stdout
    assert "import failed: ModuleNotFoundError" in ended.stdout
    assert kd("plugins", "check", "--plugin", broken, "--json").json["problems"][0]["fix"]


def test_check_calls_an_import_of_ray_at_the_top_slow(
    kd: Kd, tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # restored afterwards, whatever it was
    del sys.modules["ray"]
    (tmp_path / "ray.py").write_text("")
    for folder in (tmp_path, toy_plugin.parent):
        monkeypatch.syspath_prepend(folder)
    (tmp_path / "slow.py").write_text("import ray\nfrom toy_domain import *\n")
    ended = kd("plugins", "check", "--plugin", tmp_path / "slow.py")
    assert ended.exit_code == 0
    assert "slow: plugin 'slow'" in ended.stdout
    assert "imports ray at its top" in ended.stdout


def test_a_broken_plugin_is_a_warning_where_it_is_not_needed(
    kd: Kd, broken: Path, toy_plugin: Path, toy_spec: Path
) -> None:
    ended = kd("validate", toy_spec, "--plugin", broken, "--plugin", toy_plugin)
    assert ended.exit_code == 0
    assert ended.stderr.startswith("warning: plugin 'broken'")


def test_a_broken_plugin_blocks_a_spec_that_may_need_it(
    kd: Kd, broken: Path, toy_spec: Path
) -> None:
    ended = kd("validate", toy_spec, "--plugin", broken)
    assert ended.exit_code == 3
    assert "unknown domain 'toy'" in ended.stderr
    assert "broken plugins that may offer it: plugin 'broken'" in ended.stderr


def test_strict_plugins_lets_any_problem_end_it(
    kd: Kd, broken: Path, toy_plugin: Path, toy_spec: Path
) -> None:
    plugins = ["--plugin", broken, "--plugin", toy_plugin, "--strict-plugins"]
    ended = kd("validate", toy_spec, *plugins)
    assert ended.exit_code == 3
    assert ended.stderr.startswith("error: plugin 'broken'")
