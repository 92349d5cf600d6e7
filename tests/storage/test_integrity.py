"""Names, seals, digests and checksums, and what a disk holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import DamagedFileError, StorageError
from kdsearch.storage import check_space, damaged_files, digest, file_name, read_sealed, sealed
from kdsearch.storage.sums import check_sums, is_whole_export, write_sums

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "/etc", "../../x", "a/b", "a\\b", ".a", "a.", "-a", "a\n", "é", "x" * 101],
)
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        file_name(name)


@pytest.mark.parametrize("name", ["6M", "60k-narrow", "t5_base.v1", "a@b", "1", "10k+"])
def test_usual_names_pass(name: str) -> None:
    assert file_name(name) == name


@given(content=st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_a_seal_knows_its_content(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:  # type: ignore[type-arg]  # any JSON
    file = tmp_path_factory.mktemp("sealed") / "file.json"
    content.pop("sha256", None)
    file.write_text(sealed(content, indent=1))
    assert read_sealed(file) == content


def test_every_flipped_bit_of_a_sealed_file_is_told_or_harmless(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    content = {"alpha": 0.05, "name": "a", "list": [1, 2]}
    written = sealed(content).encode()
    for place in range(len(written)):
        for bit in range(8):
            changed = bytearray(written)
            changed[place] ^= 1 << bit
            file.write_bytes(changed)
            try:
                found = read_sealed(file)
            except DamagedFileError:
                continue
            assert found == content


def test_an_old_file_without_a_seal_is_read_where_that_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(json.dumps({"a": 1}))
    assert read_sealed(file, optional=True) == {"a": 1}
    with pytest.raises(DamagedFileError, match="not what was written"):
        read_sealed(file)


def test_damage_is_named_by_file(tmp_path: Path) -> None:
    for name in ("whole", "changed", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"abc")
    known = {name: digest(tmp_path / name) for name in ("whole", "changed", "gone")}
    (tmp_path / "changed" / "weights").write_bytes(b"abd")
    (tmp_path / "gone" / "weights").unlink()
    (tmp_path / "gone").rmdir()
    assert damaged_files(tmp_path, known) == {
        "changed": "it is not what was written",
        "gone": "it is missing",
    }


def test_an_export_is_checked_but_for_its_card(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path)
    (tmp_path / "README.md").write_text("edited")
    assert is_whole_export(tmp_path)
    (tmp_path / "model.safetensors").write_text("model.safetensorz")
    assert not is_whole_export(tmp_path)
    with pytest.raises(DamagedFileError, match=r"model.safetensors is not what its checksum says"):
        check_sums(tmp_path)


def test_what_the_disk_cannot_hold_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 1.0, "the run")
    with pytest.raises(StorageError, match=r"the run needs about .* GB of disk, and .* are free"):
        check_space(tmp_path, 1e18, "the run")
