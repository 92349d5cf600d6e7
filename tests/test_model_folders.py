from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import ModelError
from kdsearch.model_folders import FILES, located, model_folder

COMMIT = "a" * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in for the hub and its cache; `there` says which of them have the model."""
    state: dict[str, Any] = {"there": {"hub"}, "asked": []}

    def snapshot_download(name: str, *, local_files_only: bool = False, **asked: Any) -> str:
        state["asked"].append((name, local_files_only, asked["revision"]))
        assert tuple(asked["allow_patterns"]) == FILES
        if ("cache" if local_files_only else "hub") not in state["there"]:
            raise OSError("no route to the hub")
        return str(tmp_path / "snapshots" / COMMIT)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return state


def test_a_folder_is_itself(tmp_path: Path, hub: dict[str, Any]) -> None:
    assert model_folder(str(tmp_path)) == tmp_path
    assert located(str(tmp_path)) == str(tmp_path)
    assert hub["asked"] == []


def test_a_relative_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: dict[str, Any]
) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert located("models/small") == str(tmp_path / "models" / "small")
    assert hub["asked"] == []


def test_a_model_of_the_hub_gets_its_commit(hub: dict[str, Any]) -> None:
    assert located("google/flan-t5-small") == f"google/flan-t5-small@{COMMIT}"
    assert located("google/flan-t5-small@refs") == f"google/flan-t5-small@{COMMIT}"
    assert hub["asked"][1] == ("google/flan-t5-small", False, None)
    assert hub["asked"][3] == ("google/flan-t5-small", False, "refs")


def test_the_cache_is_asked_first_and_alone_unless_told(hub: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"hf download google/flan-t5-small --revision v1"):
        model_folder("google/flan-t5-small@v1")
    hub["there"] = {"cache"}
    assert model_folder("google/flan-t5-small").name == COMMIT
    assert [local for _, local, _ in hub["asked"]] == [True, True]


def test_a_hub_that_does_not_answer_is_said(hub: dict[str, Any]) -> None:
    hub["there"] = set()
    with pytest.raises(ModelError, match="cannot be loaded from the hub: no route to the hub"):
        located("google/flan-t5-small")


def test_what_is_no_name_of_the_hub_is_a_path(hub: dict[str, Any]) -> None:
    assert model_folder("a/b/c") == Path("a/b/c")
    assert model_folder("missing") == Path("missing")
    assert hub["asked"] == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (f"{'x' * 500} end\nmore", f"hub: {'x' * 500} end ("),
        (
            "404 Client Error\n\nRepository Not  Found for url: u.",
            "Error Repository Not Found for url: u. (",
        ),
        ("", "from the hub: OSError ("),
    ],
)
def test_the_first_line_of_the_hub_s_error_is_told_whole(
    monkeypatch: pytest.MonkeyPatch, error: str, told: str
) -> None:
    def fail(name: str, **asked: Any) -> str:
        raise OSError(error)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError) as caught:
        model_folder("no/such", download=True)
    assert told in str(caught.value)
