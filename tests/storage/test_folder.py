"""The one writer: whole files, inside its folder, with faults of the disk told apart."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import RunError, StorageError
from kdsearch.storage import Folder
from kdsearch.storage.folder import make_run_directory, write_output


@pytest.mark.parametrize("place", ["a.txt", "deep/er/a.txt"])
def test_a_file_is_written_whole_with_its_folders(tmp_path: Path, place: str) -> None:
    folder = Folder(tmp_path)
    folder.write(place, "first")
    assert folder.write(place, "second") == tmp_path / place
    assert (tmp_path / place).read_text() == "second"
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["a.txt"]


@pytest.mark.parametrize("place", ["../out.txt", "/etc/kdsearch-out", "a/../../out.txt", "a/../b"])
def test_nothing_is_written_outside(tmp_path: Path, place: str) -> None:
    (tmp_path / "run").mkdir()
    folder = Folder(tmp_path / "run")
    for act in (folder.make, folder.remove, lambda name: folder.write(name, "x")):
        with pytest.raises(RunError, match="lies outside of the folder"):
            act(place)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["run"]


def _victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious.txt").write_text("mine")
    return victim


@pytest.mark.parametrize("act", ["write", "append", "remove", "make", "fill", "stream"])
def test_no_link_is_followed(tmp_path: Path, act: str) -> None:
    victim = _victim(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "students").symlink_to(victim)
    folder, place = Folder(tmp_path / "run"), Path("students", "precious.txt")
    acts: dict[str, Any] = {
        "write": lambda: folder.write(place, "x"),
        "append": lambda: folder.append(place, "x"),
        "remove": lambda: folder.remove(place),
        "make": lambda: folder.make(place),
        "fill": lambda: folder.fill(place).__enter__(),
        "stream": lambda: folder.stream(place).__enter__(),
    }
    with pytest.raises(RunError, match="a link stands where kdsearch writes"):
        acts[act]()
    assert (victim / "precious.txt").read_text() == "mine"


def test_the_folder_itself_may_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    Folder(tmp_path / "runs").write("a.txt", "x")
    assert (tmp_path / "disk" / "a.txt").read_text() == "x"


def test_removing_a_tree_leaves_what_its_links_lead_to(tmp_path: Path) -> None:
    victim = _victim(tmp_path)
    (tmp_path / "run" / "trial").mkdir(parents=True)
    (tmp_path / "run" / "trial" / "link").symlink_to(victim)
    Folder(tmp_path / "run").remove("trial")
    assert not (tmp_path / "run" / "trial").exists()
    assert (victim / "precious.txt").exists()


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.fill("model") as draft:
        (draft / "weights").write_text("old")
    filling = folder.fill("model")
    (filling.__enter__() / "weights").write_text("new")
    assert not filling.__exit__(ValueError, ValueError("half-way"), None)
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert not (tmp_path / "model.new").exists()


def test_what_is_filled_is_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Folder(tmp_path).fill("model") as draft:
            (draft / "weights").write_text("x")
            (draft / "weights").chmod(0o600)  # as safetensors leaves them
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model" / "weights").stat().st_mode) == 0o644


@pytest.mark.parametrize(("shared", "mode"), [(False, 0o700), (True, 0o755)])
def test_a_run_directory_is_private_unless_shared(tmp_path: Path, shared: bool, mode: int) -> None:
    before = os.umask(0o022)
    try:
        (tmp_path / "run").mkdir()  # such as a user makes it
        make_run_directory(tmp_path / "run", shared=shared)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == mode


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_what_the_disk_refuses_is_no_other_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StorageError, match=os.strerror(number)):
        Folder(tmp_path).write("a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_library_that_hides_the_system_s_error_is_understood(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left"), Folder(tmp_path).fill("model"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (28)")
    with pytest.raises(RuntimeError, match="shapes"), Folder(tmp_path).fill("model"):
        raise RuntimeError("shapes do not fit")


def test_a_file_that_the_user_names_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        write_output(tmp_path / "missing" / "page.html", "x")
    assert not (tmp_path / "missing").exists()
